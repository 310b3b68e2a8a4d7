/** `weft bugreport`: one archive with what a person who helps needs to see, and no secret. */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Command } from 'commander';
import { systemClock } from '../../clock.ts';
import { WeftError } from '../../errors.ts';
import { jsonOption } from '../arguments.ts';
import { collect, timeStamp } from '../bugreport/collect.ts';
import { holdsSecret, redactor, secretsOf } from '../bugreport/redaction.ts';
import { tarOf } from '../bugreport/tar.ts';
import type { Context } from '../context.ts';
import { formatBytes } from '../print.ts';

interface Flags {
  readonly out?: string;
  readonly log?: string;
  readonly json?: boolean;
}

/** `weft bugreport --json` */
interface BugReport {
  readonly v: 1;
  readonly file: string;
  readonly bytes: number;
  readonly parts: readonly string[];
}

/** No network of ours fills a part further. */
const MAX_PART_CHARACTERS = 8_388_608;

export function addBugreport(program: Command, context: Context): void {
  program
    .command('bugreport')
    .summary('one archive for whoever helps, without secrets')
    .description(
      'Gather versions, configuration, what the agent, doctor and graph say, kernel state, and the log into one tar.gz. ' +
        'Keys and tokens are masked, and an archive that still held one would not be written; names and addresses of ' +
        'hosts and of this machine are in it. Works without a running agent; best as root.',
    )
    .option('--out <file>', 'where to write it (default: weft-bugreport-TIME.tar.gz here)')
    .option('--log <file>', "end of the agent's log, if it is not in the journal")
    .addOption(jsonOption())
    .addHelpText(
      'after',
      '\nExamples:\n  weft bugreport\n  weft bugreport --out /tmp/report.tar.gz --log agent.log',
    )
    .action(async ({ out, log, json }: Flags) => {
      const name = `weft-bugreport-${timeStamp()}`;
      const file = resolve(out ?? `${name}.tar.gz`);
      const secrets = secretsOf(stateDirOf(context));
      const redact = redactor(secrets);
      const parts = (await collect(context, { log: log ?? null })).map((part) => ({
        name: part.name,
        text: redact(part.text).slice(0, MAX_PART_CHARACTERS),
      }));
      const entries = parts.map((part) => ({
        name: `${name}/${part.name}`,
        content: Buffer.from(part.text),
      }));
      const archive = tarOf(entries, Math.floor(systemClock.wallMs() / 1000));
      if (holdsSecret(archive, secrets))
        throw new WeftError(
          'E_INTERNAL',
          'the report would hold a secret, so it was not written: tell the authors of weft',
        );
      const bytes = gzipSync(archive);
      write(file, bytes);
      const report: BugReport = { v: 1, file, bytes: bytes.length, parts: parts.map((part) => part.name) };
      context.show(report, json, () => `${file}\n`);
      context.note(
        `${formatBytes(bytes.length)} without keys and tokens; it names hosts and addresses: look before you pass it on`,
      );
    });
}

/** The configuration may be what is broken. */
function stateDirOf(context: Context): string {
  try {
    return context.config().stateDir;
  } catch (error) {
    if (error instanceof WeftError) return context.stateDirFlag() ?? '/var/lib/weft';
    throw error;
  }
}

/** Never overwrites: an earlier report may be the better one. @throws WeftError E_CONFIG */
function write(file: string, bytes: Uint8Array): void {
  try {
    writeFileSync(file, bytes, { flag: 'wx', mode: 0o600 });
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    const fix = reason === 'EEXIST' ? 'remove it or choose another' : 'choose a directory that you can write';
    throw new WeftError('E_CONFIG', `report ${file} cannot be written (${reason}): ${fix}`, { cause });
  }
}
