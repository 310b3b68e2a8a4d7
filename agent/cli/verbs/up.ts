/** `weft up`: join if this host is no member yet, then run in the foreground. */
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { Config } from '../../config/schema.ts';
import { WeftError } from '../../errors.ts';
import { hostOptions, label } from '../arguments.ts';
import type { Context } from '../context.ts';

interface Flags {
  readonly tokenFile?: string;
  readonly token?: string;
  readonly name?: string;
  readonly address?: string;
  readonly underlay?: string;
  readonly tap?: string;
}

/** No token is longer; a wrong file is refused before it is parsed. */
const MAX_TOKEN_BYTES = 65_536;

export function addUp(program: Command, context: Context): void {
  const verb = program
    .command('up')
    .summary('join a mesh if needed, then run')
    .description(
      'Join with a token if this host is no member yet, then run in the foreground until SIGTERM or Ctrl-C. Once it ' +
        'has joined, the token is not needed again and its file is not read.',
    )
    .option('--token-file <file>', 'file that holds the token, - for standard input (or WEFT_TOKEN_FILE)')
    .option('--token <text>', 'the token itself; visible to every user of this machine, prefer --token-file')
    .option('--name <name>', 'name of this host in the mesh', label);
  for (const option of hostOptions()) verb.addOption(option);
  verb
    .addHelpText(
      'after',
      '\nExamples:\n  weft up --token-file /root/token --name beta\n' +
        '  ssh alpha weft token create | weft up --token-file - --name beta',
    )
    .action(async (flags: Flags) => {
      if (flags.token !== undefined && flags.tokenFile !== undefined) {
        throw new WeftError('E_USAGE', 'up takes --token-file or --token, not both: leave --token out');
      }
      if (flags.token !== undefined) {
        context.note('warning: --token shows the token to every user of this machine; use --token-file');
      }
      const { name, address, underlay, tap } = flags;
      const read = (): Config => context.config({ name, address, underlay, tap });
      await context.actions.up({ config: read(), reread: read, readToken: () => readToken(flags, context) });
    });
}

async function readToken(flags: Flags, { io }: Context): Promise<string | null> {
  const text = flags.token ?? (flags.tokenFile === undefined ? io.env.WEFT_TOKEN : undefined);
  if (text) return text.trim();
  const file = flags.tokenFile ?? io.env.WEFT_TOKEN_FILE;
  if (!file) return null;
  const read = file === '-' ? await io.readStdin() : await readTokenFile(file);
  const token = read.trim();
  if (token !== '') return token;
  throw new WeftError(
    'E_TOKEN',
    `${file === '-' ? 'standard input' : file} holds no token: write one with \`weft token create\``,
  );
}

async function readTokenFile(file: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new WeftError('E_TOKEN', `token file ${file} cannot be read (${reason}): check path and mode`, {
      cause,
    });
  }
  if (bytes.length <= MAX_TOKEN_BYTES) return bytes.toString('utf8');
  throw new WeftError('E_TOKEN', `token file ${file} is ${bytes.length} bytes long: that is no token`);
}
