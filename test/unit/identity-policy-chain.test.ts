import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Policy, parsePolicy, type SignedPolicy, signPolicy } from '../../agent/identity/policy.ts';
import {
  MAX_POLICIES,
  PolicyChain,
  readPolicyChain,
  writePolicyChain,
} from '../../agent/identity/policy-chain.ts';
import { type KeyPair, signingKeyPair, toHex } from '../../agent/identity/sodium.ts';
import { STATE_FILE, StateDir } from '../../agent/identity/state-dir.ts';
import { DAY_MS, NOW_MS, World } from './identity-world.ts';

const { meshId, root, recovery: made, policy: first } = new World('mesh', undefined, true).mesh;
assert.ok(made);
const recovery: KeyPair = made;
const key = (n: number): KeyPair => signingKeyPair(new Uint8Array(32).fill(n));
/** The new root of a rotation, and that of a recovery. */
const [second, rescue, thief] = [key(1), key(2), key(3)];

function next(held: SignedPolicy, change: Partial<Policy> = {}, by: KeyPair = root): SignedPolicy {
  const bytes = signPolicy({ ...held, seq: held.seq + 1, prevId: held.id, ...change }, meshId, by.secretKey);
  const policy = parsePolicy(bytes, meshId);
  assert.ok(policy);
  return policy;
}

/** What `by` can make of the policy: keys it does not name cannot even sign. */
const steps = (held: SignedPolicy, ...policies: SignedPolicy[]): string[] =>
  policies.map((policy) => new PolicyChain([held]).offer(policy));

const pks = (...keys: KeyPair[]): Uint8Array[] => keys.map(({ publicKey }) => publicKey);

test('policies are taken one after the other, and nothing goes back', () => {
  const chain = new PolicyChain([first]);
  const two = next(first, { nodeLifeSec: 86_400 });
  const three = next(two);
  assert.equal(chain.offer(three), 'unchained');
  assert.equal(chain.offer(two), 'successor');
  assert.equal(chain.offer(two), 'same');
  assert.equal(chain.offer(three), 'successor');
  assert.equal(chain.offer(two), 'older');
  assert.equal(chain.offer(next(first, { nodeLifeSec: 90_000 })), 'conflict');
  assert.equal(chain.current.seq, 3);
});

test('of two policies with one number everybody keeps the same, whichever came first', () => {
  const [a, b] = [next(first, { nodeLifeSec: 100_000 }), next(first, { nodeLifeSec: 200_000 })];
  const ends = [
    [a, b],
    [b, a],
  ].map((order) => {
    const chain = new PolicyChain([first]);
    for (const policy of order) chain.offer(policy);
    return toHex(chain.current.id);
  });
  assert.equal(ends[0], ends[1]);
});

test('a successor is signed by a root of the policy before that it also names', () => {
  const both = next(first, { roots: pks(root, second) });
  assert.deepEqual(steps(first, both), ['successor']);
  const alone = next(both, { roots: pks(second) }, second);
  assert.deepEqual(steps(both, alone), ['successor']);
  assert.deepEqual(steps(first, next(first, { roots: pks(thief) }, thief)), ['refused']);
  assert.throws(() => next(both, { roots: pks(root) }, second), RangeError);
  assert.deepEqual(steps(alone, next(alone, { roots: pks(root, second) })), ['refused']);
  assert.deepEqual(steps(alone, next(alone, {}, second)), ['successor']);
});

test('a root adds newer roots and takes away older ones, and never touches a recovery root', () => {
  const both = next(first, { roots: pks(root, second) });
  const made = [
    next(both, { roots: pks(root) }),
    next(both, { roots: pks(second, root) }),
    next(both, { roots: pks(root, thief, second) }),
    next(both, { recovery: [] }),
    next(both, { recovery: pks(thief) }, second),
    next(both, { recovery: pks(recovery, thief) }, second),
  ];
  assert.deepEqual(new Set(steps(both, ...made)), new Set(['refused']));
  assert.deepEqual(steps(both, next(both, { roots: pks(root, second, thief) })), ['successor']);
  const replaced = next(both, { recovery: pks(recovery, rescue) }, recovery);
  assert.deepEqual(steps(both, replaced), ['successor']);
});

test('the newer root stands above the older one, so a stolen old root undoes nothing', () => {
  const both = next(first, { roots: pks(root, second) });
  const alone = next(both, { roots: pks(second) }, second);
  for (let i = 0; i < 8; i++) {
    const stolen = next(both, { leewaySec: i });
    const chain = new PolicyChain([first, both, alone, next(alone, {}, second)]);
    assert.equal(chain.offer(stolen), 'conflict');
    assert.equal(chain.offer(next(stolen)), 'older');
    const fooled = new PolicyChain([first, both, stolen]);
    assert.equal(fooled.offer(alone), 'override');
    assert.deepEqual(fooled.current.roots, alone.roots);
  }
  const behind = next(first, { leewaySec: 9 });
  const chain = new PolicyChain([first, both, alone]);
  assert.equal(chain.offer(behind), 'conflict', 'nor does it rewrite what it signed before');
});

test('a recovery root overrules whatever an ordinary one made of the same policy, however much that is', () => {
  const chain = new PolicyChain([first]);
  for (let i = 0; i < 20; i++) {
    const signer = i === 0 ? root : thief;
    const change = i === 0 ? { roots: pks(root, thief) } : { roots: pks(thief) };
    assert.equal(chain.offer(next(chain.current, change, signer)), 'successor');
  }
  const saved = next(first, { roots: pks(rescue) }, recovery);
  assert.equal(chain.offer(saved), 'override');
  assert.deepEqual([chain.current.seq, chain.all.length], [2, 2]);
  assert.equal(chain.offer(next(first, { roots: pks(root, thief) })), 'conflict');
  assert.equal(chain.offer(next(saved, {}, rescue)), 'successor');
});

test('a recovery key that was replaced brings nothing back', () => {
  const fresh = key(5);
  const chain = new PolicyChain([first]);
  const two = next(first, { recovery: pks(recovery, fresh) }, recovery);
  const three = next(two, { recovery: pks(fresh) }, fresh);
  for (const policy of [two, three]) assert.equal(chain.offer(policy), 'successor');
  assert.equal(chain.offer(next(first, { roots: pks(thief) }, recovery)), 'conflict');
  assert.equal(chain.offer(next(three, { roots: pks(rescue) }, fresh)), 'successor');
});

test('any order of policies, each offered again until nothing changes, ends in the same', () => {
  const both = next(first, { roots: pks(root, second) });
  const alone = next(both, { roots: pks(second) }, second);
  const rescued = [
    next(first, { roots: pks(rescue) }, recovery),
    next(both, { roots: pks(rescue) }, recovery),
  ];
  const known = [
    both,
    alone,
    next(alone, { leewaySec: 1 }, second),
    next(alone, { leewaySec: 2 }, second),
    next(both, { leewaySec: 3 }),
    next(both, { roots: pks(root, second, thief) }),
    ...rescued,
    ...rescued.flatMap((p) => [next(p, { leewaySec: 4 }, rescue), next(p, { leewaySec: 5 }, rescue)]),
  ];
  const settle = (order: readonly SignedPolicy[]): string => {
    const chain = new PolicyChain([first]);
    for (let changed = true; changed; ) {
      const before = toHex(chain.current.id);
      for (const policy of order) chain.offer(policy);
      changed = toHex(chain.current.id) !== before;
    }
    return toHex(chain.current.id);
  };
  fc.assert(
    fc.property(
      fc
        .subarray(known, { minLength: 1 })
        .chain((some) => fc.array(shuffled(some), { minLength: 4, maxLength: 4 })),
      (orders) => assert.equal(new Set(orders.map(settle)).size, 1),
    ),
    { numRuns: 500 },
  );
});

const shuffled = <T>(items: readonly T[]): fc.Arbitrary<T[]> =>
  fc.shuffledSubarray([...items], { minLength: items.length, maxLength: items.length });

test('who is behind is told what it lacks, in order', () => {
  const chain = new PolicyChain([first]);
  const two = next(first);
  const three = next(two);
  for (const policy of [two, three]) chain.offer(policy);
  const told = (has: SignedPolicy): number[] => chain.after((id) => id === toHex(has.id)).map((p) => p.seq);
  assert.deepEqual([told(first), told(two), told(three)], [[2, 3], [3], []]);
});

test('the chain is bounded, survives on disk, and a power cut between its files loses nothing', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-policies-'));
  try {
    const state = StateDir.open(join(folder, 'state'));
    const chain = new PolicyChain([first]);
    for (let i = 0; i < MAX_POLICIES + 5; i++)
      chain.offer(next(chain.current, { timeMs: NOW_MS + i * DAY_MS }));
    assert.equal(chain.all.length, MAX_POLICIES);
    writePolicyChain(state, chain);
    const read = readPolicyChain(state, meshId);
    assert.deepEqual(
      read.all.map((p) => p.seq),
      chain.all.map((p) => p.seq),
    );
    const before = chain.all.at(-2);
    assert.ok(before);
    state.write(STATE_FILE.policy, before.bytes);
    assert.equal(readPolicyChain(state, meshId).current.seq, chain.current.seq);
    const bytes = Buffer.from(state.read(STATE_FILE.policies));
    for (const damaged of [
      bytes.subarray(0, bytes.length - 1),
      Buffer.concat([bytes, bytes]),
      Buffer.alloc(0),
    ]) {
      writeFileSync(state.file(STATE_FILE.policies), damaged);
      assert.throws(() => readPolicyChain(state, meshId), { code: 'E_STATE' });
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
