/** `weft config check|show|schema`: is it right, what is in force and why, and what may be in it. */
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { fileSchema } from '../../config/file-schema.ts';
import type { Origin } from '../../config/load.ts';
import { WeftError } from '../../errors.ts';
import { jsonOption } from '../arguments.ts';
import type { Context } from '../context.ts';
import { paint } from '../print.ts';

interface Flags {
  readonly json?: boolean;
}

/** `weft config check --json` */
interface CheckReport {
  readonly v: 1;
  readonly ok: boolean;
  /** Stable code and one line naming the place; null when ok. */
  readonly error: { readonly code: string; readonly message: string } | null;
}

/** `weft config show --json` */
interface ShowReport {
  readonly v: 1;
  readonly settings: readonly { readonly key: string; readonly value: unknown; readonly from: string }[];
}

export function addConfig(program: Command, context: Context): void {
  const config = program
    .command('config')
    .helpCommand(false)
    .summary('check, show and describe the configuration')
    .description(
      'The configuration: flags, WEFT_* variables, the file, the host settings of the state directory, defaults.',
    );
  config
    .command('check')
    .summary('is it right?')
    .description(
      'Read the configuration as `weft run` would and say what is wrong first, as FILE:LINE:COLUMN, with exit status 78. ' +
        'Starts and changes nothing; give another file with `weft --config FILE config check`.',
    )
    .addOption(jsonOption())
    .action(({ json }: Flags) => check(context, json));
  config
    .command('show')
    .summary('what is in force, and where each value comes from')
    .description(
      'Every key with the value in force; a comment says where it was set. The text is a valid file.',
    )
    .addOption(jsonOption())
    .action(({ json }: Flags) => {
      const origins = context.configOrigins();
      const report: ShowReport = {
        v: 1,
        settings: origins.map(({ key, value, from }) => ({ key: key.yaml, value, from: from ?? 'default' })),
      };
      context.show(report, json, () => formatOrigins(origins, context.coloured));
    });
  config
    .command('schema')
    .summary('JSON Schema of the file, for editors')
    .description(
      'The JSON Schema (2020-12) of the configuration file, for an editor that completes and checks YAML by it.',
    )
    .addOption(jsonOption())
    .action(({ json }: Flags) => {
      const schema = fileSchema();
      context.show({ v: 1, schema }, json, () => `${JSON.stringify(schema, null, 2)}\n`);
    });
}

function check(context: Context, json: boolean | undefined): void {
  const report = (error: CheckReport['error']): CheckReport => ({ v: 1, ok: error === null, error });
  try {
    context.config();
  } catch (error) {
    if (json !== true || !(error instanceof WeftError)) throw error;
    context.show(report({ code: error.code, message: error.message }), true, String);
    context.exitStatus = error.exitStatus;
    return;
  }
  if (json === true) context.show(report(null), true, String);
  else context.note('the configuration is right');
}

/** YAML, section by section, with the origin of what is not a default. */
function formatOrigins(origins: readonly Origin[], coloured: boolean): string {
  let section = '';
  const lines: string[] = [];
  for (const { key, value, from } of origins) {
    const parts = key.yaml.split('.');
    const [above = ''] = parts.length > 1 ? parts : [''];
    if (above !== '' && above !== section) lines.push(`${above}:`);
    section = above;
    const text = `${above === '' ? '' : '  '}${parts.at(-1)}: ${stringify(value, { collectionStyle: 'flow' }).trimEnd()}`;
    lines.push(from === null ? text : `${text}${paint(` # ${from}`, 'dim', coloured)}`);
  }
  return `${lines.join('\n')}\n`;
}
