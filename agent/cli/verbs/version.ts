/** `weft version`: of this command, and of the agent if one answers. */
import type { Command } from 'commander';
import type { VersionReport } from '../../control/api-types.ts';
import { WeftError } from '../../errors.ts';
import { buildVersion } from '../../version.ts';
import { jsonOption } from '../arguments.ts';
import type { Context } from '../context.ts';
import { clean } from '../print.ts';

interface Versions extends VersionReport {
  /** The running agent's; null if none answers. */
  readonly agent: string | null;
}

export function addVersion(program: Command, context: Context): void {
  program
    .command('version')
    .summary('of this command and of the running agent')
    .description('The version of this command, and of the agent if one answers.')
    .addOption(jsonOption())
    .action(async (flags: { readonly json?: boolean }) => {
      const versions: Versions = {
        v: 1,
        ...buildVersion(),
        node: process.versions.node,
        agent: await agentVersion(context),
      };
      context.show(versions, flags.json, formatVersions);
    });
}

async function agentVersion(context: Context): Promise<string | null> {
  try {
    return (await context.client().get<VersionReport>('/v1/version')).version;
  } catch (error) {
    if (error instanceof WeftError) return null;
    throw error;
  }
}

function formatVersions({ version, commit, node, agent }: Versions): string {
  const own = `weft ${version}${commit === null ? '' : ` (${commit.slice(0, 12)})`}, node ${node}\n`;
  return agent === null || agent === version ? own : `${own}running agent: ${clean(agent)} (restart it)\n`;
}
