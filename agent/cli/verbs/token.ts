/** `weft token create`: a secret that lets other hosts join. stdout holds the token alone, so that it can be piped. */
import { open } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import type { TokenCount, TokenReport, TokenRequest, TokenRight } from '../../control/admission-types.ts';
import { WeftError } from '../../errors.ts';
import { duration, label, labelPrefix, wholeNumber, wholeNumbers } from '../arguments.ts';
import type { Context } from '../context.ts';
import { formatAge } from '../print.ts';

interface Flags {
  readonly ttl: number;
  readonly uses: number;
  readonly namePrefix?: string;
  readonly name?: string;
  readonly segment?: string;
  readonly vni?: readonly number[];
  readonly count: TokenCount;
  readonly underlay?: readonly string[];
  readonly nodeLife?: number;
  readonly allow?: readonly TokenRight[];
  readonly seed?: readonly string[];
  readonly out?: string;
  readonly json?: boolean;
}

export function addToken(program: Command, context: Context): void {
  const token = program
    .command('token')
    .helpCommand(false)
    .summary('let other hosts join')
    .description('Tokens that let other hosts join.');
  token
    .command('create')
    .summary('sign a token')
    .description(
      'Sign a token and print it. Whoever holds it can join until it expires or is used up: hand it over as a secret. ' +
        'This host counts its uses, so it must be reachable while others join; or, with --count each, every admitter counts for ' +
        'itself and any of them will do.',
    )
    .addOption(
      new Option('--ttl <duration>', 'how long it is valid: 90s, 15m, 1h, 7d')
        .argParser(duration)
        .default(3_600_000, '1h'),
    )
    .option('--uses <count>', 'how many hosts may join with it', wholeNumber(1, 10_000), 1)
    .option('--name-prefix <prefix>', 'what names of joining hosts must start with', labelPrefix)
    .addOption(new Option('--name <name>', 'the one name that the joining host must have').argParser(label))
    .option('--segment <segment>', 'segment (VNI) that it opens; default: that of this host')
    .addOption(
      new Option('--vni <vni...>', 'segments that it opens, by number, at most 8').argParser(
        wholeNumbers(0, 0xffffff),
      ),
    )
    .addOption(
      new Option(
        '--count <who>',
        'who counts its uses: strict, this host, exactly; each, every admitter for itself, so that those that do not see each other ' +
          'let in as many hosts each',
      )
        .choices(['strict', 'each'])
        .default('strict'),
    )
    .addOption(
      new Option(
        '--underlay <network...>',
        'underlay networks that joining hosts must come from, as the host that they ask sees them: 192.0.2.0/24',
      ),
    )
    .addOption(
      new Option(
        '--node-life <duration>',
        'how long certificates of joining hosts last unless renewed; default: as policy says',
      ).argParser(duration),
    )
    .addOption(
      new Option('--allow <right...>', 'rights of joining hosts: bridge, other MACs behind them').choices([
        'bridge',
      ]),
    )
    .addOption(
      new Option(
        '--seed <member...>',
        'whom joining hosts ask, in this order, at most 4 (default: this host): MEMBER, or MEMBER=HOST[:PORT] with an address or a name',
      ),
    )
    .option('--out <file>', 'write it there, mode 0600, instead of printing it')
    .option('--json', 'one JSON object, the token among its fields')
    .addHelpText('after', '\nExample:\n  weft token create --ttl 1h --uses 3 --out /root/token')
    .action(async (flags: Flags) => {
      const request: TokenRequest = {
        ttlMs: flags.ttl,
        uses: flags.uses,
        namePrefix: flags.namePrefix ?? null,
        name: flags.name ?? null,
        segment: flags.segment ?? null,
        vnis: flags.vni ?? [],
        count: flags.count,
        underlay: flags.underlay ?? [],
        allow: flags.allow ?? [],
        nodeLifeMs: flags.nodeLife ?? null,
        seeds: flags.seed ?? [],
      };
      const report = await context.client().send<TokenReport>('POST', '/v1/tokens', request);
      if (flags.out !== undefined) await writeTokenFile(flags.out, report.token);
      else context.show(report, flags.json, () => `${report.token}\n`);
      context.note(limitsOf(report, flags.ttl, flags.out));
    });
}

function limitsOf(report: TokenReport, ttlMs: number, file: string | undefined): string {
  const hosts = report.uses === 1 ? 'one host' : `${report.uses} hosts`;
  const names =
    report.name !== null
      ? ` named ${report.name}`
      : report.namePrefix === null
        ? ''
        : ` named ${report.namePrefix}...`;
  const from = report.underlay.length === 0 ? '' : ` from ${report.underlay.join(' or ')}`;
  const rights = report.allow.length === 0 ? '' : ` with the right ${report.allow.join(', ')}`;
  const where = file === undefined ? 'token' : `token in ${file}`;
  return `${where} lets ${hosts}${names} join${from} within ${formatAge(ttlMs)}${rights}; ${whoCounts(report)}; keep it secret`;
}

/** Who counts, and how many hosts that can become. */
function whoCounts({ admitter, admitters, count, uses, bound }: TokenReport): string {
  if (count === 'strict') return `${admitter} counts`;
  const each = `at most ${uses} by each admitter that cannot see what the others admit`;
  return `each of ${admitters.join(', ')} counts: ${each}, ${bound} in all with the ${admitters.length} of now`;
}

/** Never overwrites: the file may be another token that is still good. */
async function writeTokenFile(file: string, token: string): Promise<void> {
  try {
    const handle = await open(file, 'wx', 0o600);
    try {
      await handle.writeFile(`${token}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    const fix = reason === 'EEXIST' ? 'remove it or choose another' : 'choose a directory that you can write';
    throw new WeftError('E_CONFIG', `token file ${file} cannot be written (${reason}): ${fix}`, { cause });
  }
}
