/** Check of address translation on the way out: peers say in each answer from where they see this host send. */
import type { Examination } from './examination.ts';
import { type Finding, ok, warn } from './finding.ts';

const SHOWN = 3;

/** Says nothing where no agent runs: others see its socket only while it sends. */
export function checkNat({ running }: Examination): Finding[] {
  if (running === null) return [];
  const { endpoint } = running.status;
  const seen = running.peers.flatMap(({ name, state, seenAs }) =>
    state === 'up' && seenAs !== null ? [{ name, seenAs }] : [],
  );
  if (seen.length === 0) return [ok('nat', 'no peer has said yet from where it sees this host')];
  const outside = seen.filter(({ seenAs }) => seenAs !== endpoint);
  const said = outside.slice(0, SHOWN).map(({ name, seenAs }) => `${name} as ${seenAs}`);
  const named = `${said.join(', ')}${outside.length > SHOWN ? ', ...' : ''}`;
  const mappings = new Set(outside.map(({ seenAs }) => seenAs));
  const [mapping = ''] = mappings;
  if (mappings.size === 0) return [ok('nat', `none: ${seen.length} peers see this host as ${endpoint}`)];
  if (mappings.size === 1)
    return [
      warn(
        'nat',
        `a NAT with one mapping for all: this host is ${endpoint}, seen by ${named}`,
        `forward the UDP ports of \`weft status\` on ${mapping.replace(/:\d+$/, '')} to this host, so that others can begin too`,
      ),
    ];
  return [
    warn(
      'nat',
      `a NAT with another mapping for each peer: this host is ${endpoint}, seen by ${named}`,
      'hosts behind a NAT of their own will not reach it: forward its UDP ports, or give it a public address',
    ),
  ];
}
