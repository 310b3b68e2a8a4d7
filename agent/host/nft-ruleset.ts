/**
 * The packet filter's rules as `nft -json list ruleset` prints them (libnftables-json(5)): base chains by hook, rules in
 * order, named sets. Only what nft-verdict.ts asks for is read.
 */
import type { Kernel } from './kernel.ts';

export interface NftChain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  /** Null for a chain that is only jumped to. */
  readonly hook: string | null;
  readonly priority: number;
  readonly policy: 'accept' | 'drop';
  /** Statements of each rule, in order. */
  readonly rules: readonly NftRule[];
}

export interface NftRule {
  readonly handle: number;
  readonly statements: readonly Readonly<Record<string, unknown>>[];
}

export interface NftRuleset {
  /** By `family table chain`; bounded by the ruleset. */
  readonly chains: ReadonlyMap<string, NftChain>;
  /** Elements by `family table set`; bounded by the ruleset. */
  readonly sets: ReadonlyMap<string, readonly unknown[]>;
}

interface Item {
  readonly family?: string;
  readonly table?: string;
  readonly name?: string;
  readonly chain?: string;
  readonly hook?: string;
  readonly prio?: number;
  readonly policy?: string;
  readonly handle?: number;
  readonly expr?: readonly Readonly<Record<string, unknown>>[];
  readonly elem?: readonly unknown[];
}

/** Null when nft is missing or may not be asked. */
export async function readNftRuleset(kernel: Kernel): Promise<NftRuleset | null> {
  const listing = (await kernel.json(['nft', '-j', 'list', 'ruleset'])) as { nftables?: unknown } | null;
  return Array.isArray(listing?.nftables) ? parseRuleset(listing.nftables) : null;
}

export function parseRuleset(items: readonly unknown[]): NftRuleset {
  const entries = items as readonly Readonly<Record<string, Item>>[];
  const rules = new Map<string, NftRule[]>();
  for (const { rule } of entries) {
    if (rule === undefined) continue;
    const key = keyOf(rule, rule.chain);
    const of = rules.get(key) ?? [];
    of.push({ handle: rule.handle ?? 0, statements: rule.expr ?? [] });
    rules.set(key, of);
  }
  const chains = new Map<string, NftChain>();
  const sets = new Map<string, readonly unknown[]>();
  for (const { chain, set, map } of entries) {
    if (chain !== undefined) {
      const key = keyOf(chain, chain.name);
      chains.set(key, {
        family: chain.family ?? '',
        table: chain.table ?? '',
        name: chain.name ?? '',
        hook: chain.hook ?? null,
        priority: chain.prio ?? 0,
        policy: chain.policy === 'drop' ? 'drop' : 'accept',
        rules: rules.get(key) ?? [],
      });
    }
    for (const named of [set, map])
      if (named !== undefined) sets.set(keyOf(named, named.name), named.elem ?? []);
  }
  return { chains, sets };
}

const keyOf = ({ family, table }: Item, name: string | undefined): string => `${family} ${table} ${name}`;
