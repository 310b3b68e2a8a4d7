/**
 * What a packet filter does with one UDP datagram, worked out from its rules without sending anything. A match that
 * cannot be decided (a limit, an iptables extension, a packet field that is not known) makes the outcome uncertain
 * instead of wrong: a drop behind it is a `maybe`.
 */
import { BlockList, isIP } from 'node:net';
import type { NftChain, NftRule, NftRuleset } from './nft-ruleset.ts';

/** The first datagram of a flow. Null is not known. */
export interface Probe {
  readonly direction: 'in' | 'out';
  readonly family: 4 | 6;
  readonly device: string | null;
  readonly source: string | null;
  readonly destination: string | null;
  readonly destinationPort: number;
}

export interface Obstacle {
  /** Certain, or hanging on a match that could not be decided. */
  readonly certain: boolean;
  readonly chain: NftChain;
  /** Rule that drops; null when it is the chain's policy. */
  readonly handle: number | null;
  readonly verdict: 'drop' | 'reject';
}

type Truth = true | false | null;
type Verdict = 'accept' | 'drop' | 'reject' | 'return' | 'next';
type Statement = NftRule['statements'][number];

/** Chains jump into each other no deeper than the kernel allows. */
const MAX_DEPTH = 16;
const HOOKS = { in: ['prerouting', 'input'], out: ['output', 'postrouting'] } as const;
/** Statements that neither match nor end a rule. */
const NEUTRAL = [
  'counter',
  'log',
  'mangle',
  'meta',
  'notrack',
  'comment',
  'masquerade',
  'snat',
  'dnat',
  'flow',
];

/** The first chain that drops the datagram, or might; null when it passes. */
export function obstacleTo(ruleset: NftRuleset, probe: Probe): Obstacle | null {
  const hooks: readonly string[] = HOOKS[probe.direction];
  const chains = [...ruleset.chains.values()]
    .filter(({ hook, family }) => hook !== null && hooks.includes(hook) && covers(family, probe))
    .sort((a, b) => hooks.indexOf(a.hook ?? '') - hooks.indexOf(b.hook ?? '') || a.priority - b.priority);
  let doubt: Obstacle | null = null;
  for (const chain of chains) {
    const found = new Walk(ruleset, probe, chain).run();
    if (found?.certain) return found;
    doubt ??= found;
  }
  return doubt;
}

const covers = (family: string, probe: Probe): boolean =>
  family === 'inet' || family === (probe.family === 4 ? 'ip' : 'ip6');

/** One base chain and what it jumps to. */
class Walk {
  readonly #ruleset: NftRuleset;
  readonly #probe: Probe;
  readonly #base: NftChain;
  #doubt: Obstacle | null = null;
  #mayBeAccepted = false;

  constructor(ruleset: NftRuleset, probe: Probe, base: NftChain) {
    this.#ruleset = ruleset;
    this.#probe = probe;
    this.#base = base;
  }

  run(): Obstacle | null {
    const verdict = this.#chain(this.#base, 0);
    if (verdict === 'accept') return this.#doubt;
    if (typeof verdict === 'object') return { ...verdict, certain: verdict.certain && !this.#mayBeAccepted };
    if (this.#base.policy === 'accept') return this.#doubt;
    return { certain: !this.#mayBeAccepted, chain: this.#base, handle: null, verdict: 'drop' };
  }

  /** What the chain decides; `return` when its end is reached. */
  #chain(chain: NftChain, depth: number): 'accept' | 'return' | Obstacle {
    if (depth > MAX_DEPTH) return 'return';
    for (const rule of chain.rules) {
      const decided = this.#rule(chain, rule, depth);
      if (decided !== 'next') return decided;
    }
    return 'return';
  }

  #rule(chain: NftChain, rule: NftRule, depth: number): 'accept' | 'return' | 'next' | Obstacle {
    let certain = true;
    for (const statement of rule.statements) {
      const verdict = verdictOf(statement, (map) => this.#mapped(chain, map));
      if (verdict === undefined) {
        const truth = this.#matches(chain, statement);
        if (truth === false) return 'next';
        if (truth === null) certain = false;
        continue;
      }
      const { word, target } = verdict;
      if (word === null) return this.#undecided(chain, rule);
      if (word === 'jump' || word === 'goto') {
        const next = this.#ruleset.chains.get(`${chain.family} ${chain.table} ${target}`);
        if (next === undefined) continue;
        const decided = this.#chain(next, depth + 1);
        if (decided !== 'return') {
          if (certain) return decided;
          this.#note(decided);
          return 'next';
        }
        if (word === 'goto' && certain) return 'return';
        continue;
      }
      const result = this.#end(chain, rule, word);
      if (certain) return result;
      if (result !== 'next' && result !== 'return') this.#note(result);
      return 'next';
    }
    return 'next';
  }

  #end(chain: NftChain, rule: NftRule, word: Verdict): 'accept' | 'return' | 'next' | Obstacle {
    if (word === 'drop' || word === 'reject')
      return { certain: true, chain, handle: rule.handle, verdict: word };
    return word;
  }

  /** A verdict map whose key is not known. */
  #undecided(chain: NftChain, rule: NftRule): 'next' {
    this.#doubt ??= { certain: false, chain, handle: rule.handle, verdict: 'drop' };
    this.#mayBeAccepted = true;
    return 'next';
  }

  #note(result: 'accept' | Obstacle): void {
    if (result === 'accept') this.#mayBeAccepted = true;
    else this.#doubt ??= { ...result, certain: false };
  }

  #matches(chain: NftChain, statement: Statement): Truth {
    const match = statement.match as { op?: string; left?: unknown; right?: unknown } | undefined;
    if (match === undefined) return NEUTRAL.some((name) => name in statement) ? true : null;
    const value = this.#valueOf(match.left);
    if (value === undefined) return null;
    if (value === null) return false;
    const held = this.#holds(chain, value, match.right);
    if (held === null || (match.op !== '==' && match.op !== 'in' && match.op !== '!=')) return null;
    return match.op === '!=' ? !held : held;
  }

  /** Value of an expression for the datagram; undefined when not known, null when the datagram has no such field. */
  #valueOf(left: unknown): string | number | null | undefined {
    const probe = this.#probe;
    const { payload, meta, ct } = (left ?? {}) as Record<
      string,
      { protocol?: string; field?: string; key?: string }
    >;
    if (payload !== undefined) {
      const { protocol, field } = payload;
      if (protocol === 'udp' || protocol === 'th')
        return field === 'dport' ? probe.destinationPort : undefined;
      if (protocol === 'tcp' || protocol === 'icmp' || protocol === 'icmpv6' || protocol === 'sctp')
        return null;
      if (protocol !== (probe.family === 4 ? 'ip' : 'ip6'))
        return protocol === 'ip' || protocol === 'ip6' ? null : undefined;
      if (field === 'saddr') return probe.source ?? undefined;
      if (field === 'daddr') return probe.destination ?? undefined;
      return field === 'protocol' || field === 'nexthdr' ? 'udp' : undefined;
    }
    if (ct !== undefined) return ct.key === 'state' ? 'new' : undefined;
    switch (meta?.key) {
      case 'iifname':
      case 'iif':
        return probe.direction === 'in' ? (probe.device ?? undefined) : '';
      case 'oifname':
      case 'oif':
        return probe.direction === 'out' ? (probe.device ?? undefined) : '';
      case 'l4proto':
        return 'udp';
      case 'nfproto':
        return probe.family === 4 ? 'ipv4' : 'ipv6';
      default:
        return undefined;
    }
  }

  #holds(chain: NftChain, value: string | number, right: unknown): Truth {
    if (typeof right === 'number') return right === (value === 'udp' ? 17 : value);
    if (typeof right === 'string') {
      if (!right.startsWith('@')) return sameName(String(value), right);
      const set = this.#ruleset.sets.get(`${chain.family} ${chain.table} ${right.slice(1)}`);
      return set === undefined ? null : this.#holds(chain, value, set);
    }
    if (Array.isArray(right)) return right.some((element) => this.#holds(chain, value, element));
    const { set, range, prefix, elem } = (right ?? {}) as Record<string, unknown>;
    if (elem !== undefined) return this.#holds(chain, value, (elem as { val?: unknown }).val);
    if (set !== undefined) return this.#holds(chain, value, set);
    if (Array.isArray(range)) return withinRange(value, range);
    if (prefix !== undefined) return withinPrefix(String(value), prefix as { addr?: string; len?: number });
    return null;
  }

  /** Verdict of a verdict map for the datagram. */
  #mapped(chain: NftChain, map: { key?: unknown; data?: unknown }): unknown {
    const value = this.#valueOf(map.key);
    if (value === undefined) return undefined;
    if (value === null) return null;
    const data = map.data;
    const elements =
      typeof data === 'string'
        ? this.#ruleset.sets.get(`${chain.family} ${chain.table} ${data.replace(/^@/, '')}`)
        : (data as { set?: unknown }).set;
    if (!Array.isArray(elements)) return undefined;
    const pair = elements.find((entry) => Array.isArray(entry) && this.#holds(chain, value, entry[0]));
    return pair === undefined ? null : pair[1];
  }
}

interface Decision {
  /** Null when a verdict map could not be decided. */
  readonly word: Verdict | 'jump' | 'goto' | null;
  readonly target: string;
}

const WORDS = ['accept', 'drop', 'reject', 'return'] as const;

/** The verdict of a statement; undefined when it is none. */
function verdictOf(
  statement: Statement,
  mapped: (map: { key?: unknown; data?: unknown }) => unknown,
): Decision | undefined {
  const word = WORDS.find((name) => name in statement);
  if (word !== undefined) return { word, target: '' };
  for (const jump of ['jump', 'goto'] as const) {
    if (jump in statement) return { word: jump, target: (statement[jump] as { target: string }).target };
  }
  if (!('vmap' in statement)) return undefined;
  const found = mapped(statement.vmap as { key?: unknown; data?: unknown });
  if (found === undefined) return { word: null, target: '' };
  if (found === null) return { word: 'next', target: '' };
  return verdictOf(found as Statement, mapped);
}

/** Interface names may end in `*`. */
const sameName = (value: string, pattern: string): boolean =>
  pattern.endsWith('*') ? value.startsWith(pattern.slice(0, -1)) : value === pattern;

function withinRange(value: string | number, [from, to]: readonly unknown[]): Truth {
  if (typeof value === 'number') return value >= Number(from) && value <= Number(to);
  const family = isIP(value);
  if (family === 0 || isIP(String(from)) !== family || isIP(String(to)) !== family) return null;
  const list = new BlockList();
  const name = family === 4 ? 'ipv4' : 'ipv6';
  list.addRange(String(from), String(to), name);
  return list.check(value, name);
}

function withinPrefix(value: string, { addr = '', len = 0 }: { addr?: string; len?: number }): Truth {
  const family = isIP(addr);
  if (family === 0 || isIP(value) !== family) return null;
  const list = new BlockList();
  const name = family === 4 ? 'ipv4' : 'ipv6';
  list.addSubnet(addr, len, name);
  return list.check(value, name);
}
