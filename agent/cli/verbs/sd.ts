/**
 * `weft sd`: every member as a target for Prometheus' file_sd (an array of `{targets, labels}`), from gossip. A file is
 * replaced as a whole, so that Prometheus never reads half of one. Members that left are not in it; dead ones are, for
 * an alert to notice.
 */
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { type Command, InvalidArgumentError } from 'commander';
import type { MemberReport, MembersReport } from '../../control/api-types.ts';
import { WeftError } from '../../errors.ts';
import { jsonOption } from '../arguments.ts';
import type { Context } from '../context.ts';

interface Flags {
  readonly out?: string;
  readonly port: number;
  readonly underlay?: boolean;
}

export interface TargetGroup {
  readonly targets: readonly [string];
  readonly labels: Readonly<Record<string, string>>;
}

export function addSd(program: Command, context: Context): void {
  program
    .command('sd')
    .summary('all members as targets for Prometheus')
    .description(
      'All members that have not left, as JSON for file_sd_configs of Prometheus, so that one Prometheus finds every host. ' +
        'Targets are overlay addresses; metrics.address of each host has to listen there.',
    )
    .addOption(jsonOption())
    .option('--out <file>', 'write there, all at once, instead of to stdout')
    .option('--port <port>', 'port of metrics.address on the hosts', portOf, 9586)
    .option('--underlay', 'targets are underlay addresses where they are known')
    .addHelpText(
      'after',
      '\nExamples:\n  weft sd --out /etc/prometheus/weft-sd.json\n  weft sd --underlay --port 9586',
    )
    .action(async (flags: Flags) => {
      const { members } = await context.client().get<MembersReport>('/v1/members');
      const text = `${JSON.stringify(targetsOf(members, flags.port, flags.underlay === true))}\n`;
      if (flags.out === undefined) context.io.out(text);
      else replace(flags.out, text);
    });
}

/** One group for each member, in order of names; a member without any address has none. */
export function targetsOf(members: readonly MemberReport[], port: number, underlay: boolean): TargetGroup[] {
  return members
    .filter(({ state }) => state !== 'left')
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((member) => {
      const overlayIp = member.address?.replace(/\/\d+$/, '') ?? null;
      const underlayIp = hostOf(member.endpoint);
      const ip = underlay ? (underlayIp ?? overlayIp) : (overlayIp ?? underlayIp);
      if (ip === null) return [];
      return [{ targets: [`${isIPv6(ip) ? `[${ip}]` : ip}:${port}`], labels: { weft_host: member.name } }];
    });
}

/** Address of `IP:PORT` or `[IP]:PORT`; null when it stands for every address, as a host's own may. */
function hostOf(endpoint: string | null): string | null {
  const ip = endpoint?.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1') ?? null;
  return ip === '0.0.0.0' || ip === '::' ? null : ip;
}

function portOf(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65_535)
    throw new InvalidArgumentError('a port is 1 to 65535');
  return port;
}

/** @throws WeftError E_CONFIG */
function replace(file: string, text: string): void {
  const partial = `${file}.${process.pid}.partial`;
  try {
    writeFileSync(partial, text, { flag: 'wx', mode: 0o644 });
    renameSync(partial, file);
  } catch (cause) {
    rmSync(partial, { force: true });
    const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new WeftError(
      'E_CONFIG',
      `targets ${file} cannot be written (${reason}): choose a file that you can write`,
      {
        cause,
      },
    );
  }
}
