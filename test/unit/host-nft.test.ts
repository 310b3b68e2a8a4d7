import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRuleset } from '../../agent/host/nft-ruleset.ts';
import { obstacleTo, type Probe } from '../../agent/host/nft-verdict.ts';

const IN: Probe = {
  direction: 'in',
  family: 4,
  device: 'eth0',
  source: '192.0.2.2',
  destination: '192.0.2.1',
  destinationPort: 7947,
};
const OUT: Probe = { ...IN, direction: 'out', source: '192.0.2.1', destination: '192.0.2.2' };

type Expr = Readonly<Record<string, unknown>>;
const DROP: Expr = { drop: null };
const ACCEPT: Expr = { accept: null };
const match = (left: unknown, right: unknown, op = '=='): Expr => ({ match: { op, left, right } });
const dport = (right: unknown, op = '=='): Expr =>
  match({ payload: { protocol: 'udp', field: 'dport' } }, right, op);
const address = (field: 'saddr' | 'daddr', right: unknown, protocol = 'ip'): Expr =>
  match({ payload: { protocol, field } }, right);
const state = (right: unknown): Expr => match({ ct: { key: 'state' } }, right, 'in');
const meta = (key: string, right: unknown): Expr => match({ meta: { key } }, right);

interface Setting {
  readonly policy?: 'accept' | 'drop';
  readonly hook?: string;
  readonly family?: string;
  readonly more?: readonly unknown[];
}

/** One base chain with these rules, in nft's form. */
function ruleset(
  rules: readonly (readonly Expr[])[],
  { policy = 'accept', hook = 'input', family = 'inet', more = [] }: Setting = {},
) {
  const place = { family, table: 'filter' };
  return parseRuleset([
    { metainfo: {} },
    { table: { family, name: 'filter' } },
    { chain: { ...place, name: 'base', handle: 1, type: 'filter', hook, prio: 0, policy } },
    ...rules.map((expr, i) => ({ rule: { ...place, chain: 'base', handle: 10 + i, expr } })),
    ...more,
  ]);
}

/** `pass`, `drop@HANDLE`, `drop@policy`, with `maybe ` when it is not certain. */
function verdict(rules: Parameters<typeof ruleset>[0], setting: Setting = {}, probe = IN): string {
  const found = obstacleTo(ruleset(rules, setting), probe);
  if (found === null) return 'pass';
  return `${found.certain ? '' : 'maybe '}${found.verdict}@${found.handle ?? 'policy'}`;
}

test('rules, policies and directions decide as the kernel would', () => {
  assert.equal(verdict([]), 'pass');
  assert.equal(verdict([], { policy: 'drop' }), 'drop@policy');
  assert.equal(verdict([], { policy: 'drop' }, OUT), 'pass');
  assert.equal(verdict([], { policy: 'drop', hook: 'output' }, OUT), 'drop@policy');
  assert.equal(verdict([], { policy: 'drop', hook: 'forward' }), 'pass');
  assert.equal(verdict([[dport(7947), ACCEPT]], { policy: 'drop' }), 'pass');
  assert.equal(verdict([[dport(7947), { counter: {} }, { log: null }, DROP]]), 'drop@10');
  assert.equal(verdict([[dport(7947), { reject: { type: 'icmpx' } }]]), 'reject@10');
  assert.equal(verdict([[dport(53), DROP], [ACCEPT], [DROP]]), 'pass');
  assert.equal(verdict([[dport(7947, '!='), DROP]]), 'pass');
  assert.equal(verdict([[DROP]], { family: 'ip6' }), 'pass');
  assert.equal(verdict([[DROP]], { family: 'ip6' }, { ...IN, family: 6 }), 'drop@10');
});

test('sets, ranges, prefixes, maps, names and states match', () => {
  const accepted = (expr: Expr, more: readonly unknown[] = []): string =>
    verdict([[expr, ACCEPT]], { policy: 'drop', more });
  assert.equal(accepted(dport({ set: [7946, 7947] })), 'pass');
  assert.equal(accepted(dport({ set: [{ range: [7000, 8000] }] })), 'pass');
  assert.equal(accepted(dport({ range: [1, 100] })), 'drop@policy');
  assert.equal(accepted(address('saddr', { prefix: { addr: '192.0.2.0', len: 24 } })), 'pass');
  assert.equal(accepted(address('saddr', { prefix: { addr: '198.51.100.0', len: 24 } })), 'drop@policy');
  assert.equal(accepted(address('saddr', { range: ['192.0.2.2', '192.0.2.9'] })), 'pass');
  assert.equal(accepted(address('daddr', '192.0.2.1')), 'pass');
  assert.equal(accepted(address('saddr', '2001:db8::1', 'ip6')), 'drop@policy');
  assert.equal(accepted(state(['established', 'related'])), 'drop@policy');
  assert.equal(accepted(state(['established', 'new'])), 'pass');
  assert.equal(accepted(meta('iifname', 'eth*')), 'pass');
  assert.equal(accepted(meta('iifname', 'lo')), 'drop@policy');
  assert.equal(accepted(meta('l4proto', 17)), 'pass');
  assert.equal(accepted(match({ payload: { protocol: 'tcp', field: 'dport' } }, 22)), 'drop@policy');
  const set = { set: { family: 'inet', table: 'filter', name: 'ours', elem: [7947] } };
  assert.equal(accepted(dport('@ours'), [set]), 'pass');
  const key = { payload: { protocol: 'udp', field: 'dport' } };
  const vmap = {
    vmap: {
      key,
      data: {
        set: [
          [53, ACCEPT],
          [7947, DROP],
        ],
      },
    },
  };
  assert.equal(verdict([[vmap]]), 'drop@10');
});

test('jumps come back, gotos do not', () => {
  const place = { family: 'inet', table: 'filter' };
  const side = (expr: readonly Expr[]): unknown[] => [
    { chain: { ...place, name: 'side', handle: 2 } },
    { rule: { ...place, chain: 'side', handle: 50, expr } },
  ];
  assert.equal(verdict([[{ jump: { target: 'side' } }]], { more: side([DROP]) }), 'drop@50');
  assert.equal(
    verdict([[{ jump: { target: 'side' } }], [DROP]], { more: side([dport(1), DROP]) }),
    'drop@11',
  );
  assert.equal(verdict([[{ goto: { target: 'side' } }], [DROP]], { more: side([dport(1), DROP]) }), 'pass');
  assert.equal(
    verdict([[{ jump: { target: 'side' } }], [DROP]], { more: side([{ return: null }]) }),
    'drop@11',
  );
  const loop = [...side([{ jump: { target: 'side' } }])];
  assert.equal(verdict([[{ jump: { target: 'side' } }]], { more: loop }), 'pass');
});

test('what cannot be decided makes the outcome uncertain and never wrong', () => {
  const limit: Expr = { limit: { rate: 5, per: 'second' } };
  const extension: Expr = { xt: { type: 'match', name: 'recent' } };
  assert.equal(verdict([[extension, DROP]]), 'maybe drop@10');
  assert.equal(verdict([[limit, ACCEPT]], { policy: 'drop' }), 'maybe drop@policy');
  assert.equal(verdict([[limit, ACCEPT], [DROP]]), 'maybe drop@11');
  assert.equal(verdict([[extension, ACCEPT]]), 'pass');
  assert.equal(
    verdict([[address('saddr', '192.0.2.7'), DROP]], {}, { ...IN, source: null }),
    'maybe drop@10',
  );
  assert.equal(verdict([[{ payload: 1 } as Expr], [DROP]]), 'drop@11');
});
