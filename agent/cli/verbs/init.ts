/** `weft init`: make a mesh and be its first host. Writes keys and state; `weft run` starts it. */
import { type Command, Option } from 'commander';
import { WeftError } from '../../errors.ts';
import { hostOptions, label, wholeNumber } from '../arguments.ts';
import type { Context } from '../context.ts';

interface Flags {
  readonly name?: string;
  readonly mesh: string;
  readonly address?: string;
  readonly underlay?: string;
  readonly tap?: string;
  readonly mode: 'sealed' | 'plain';
  readonly encap: 'vxlan' | 'geneve';
  readonly vni: number;
  readonly recoveryOut?: string;
}

export function addInit(program: Command, context: Context): void {
  const verb = program
    .command('init')
    .summary('make a mesh and be its first host')
    .description(
      'Make a mesh and be its first host: keys, policy and state are written, nothing is started. The mesh key stays ' +
        'in the state directory of this host: back it up, it signs everything that comes later.',
    )
    .option('--name <name>', 'name of this host in the mesh', label)
    .option('--mesh <name>', 'name of the mesh', label, 'weft');
  for (const option of hostOptions()) verb.addOption(option);
  verb
    .addOption(
      new Option('--mode <mode>', 'sealed is encrypted and authentic; plain is bare VXLAN or Geneve')
        .choices(['sealed', 'plain'])
        .default('sealed'),
    )
    .addOption(new Option('--encap <format>', 'tunnel format').choices(['vxlan', 'geneve']).default('vxlan'))
    .option('--vni <number>', 'network identifier, 24 bits', wholeNumber(1, 0xffffff), 1)
    .option(
      '--recovery-out <file>',
      'write a recovery key there: it names a new root if this host is lost or its key is stolen; keep it on no host',
    )
    .addHelpText(
      'after',
      '\nExample:\n  weft init --name alpha --address 10.80.0.1/24 --recovery-out recovery.txt\n  weft run',
    )
    .action(async (flags: Flags) => {
      const { name, address, underlay, tap } = flags;
      const config = context.config({ name, address, underlay, tap });
      if (config.name === null)
        throw new WeftError('E_USAGE', 'init needs a name for this host: add --name NAME');
      const { mesh, mode, encap, vni } = flags;
      const recoveryOut = flags.recoveryOut ?? null;
      const result = await context.actions.init({
        config,
        name: config.name,
        mesh,
        mode,
        encap,
        vni,
        recoveryOut,
      });
      for (const warning of result.warnings) context.note(`warning: ${warning}`);
      context.note(
        `mesh ${result.mesh} made; this host is ${result.name} with ${result.address}, state in ${result.stateDir}`,
      );
      if (result.recoveryFile !== null)
        context.note(
          `the recovery key of the mesh is in ${result.recoveryFile}: move it off this machine (another medium, or paper) and let nobody read it; ` +
            'with it `weft root recover` names a new root when this host is lost or its root key is stolen, and without it neither can be undone',
        );
      context.note('next: `weft run` here, then `weft token create` for every further host');
    });
}
