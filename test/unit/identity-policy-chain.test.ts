import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Policy, parsePolicy, type SignedPolicy, signPolicy } from '../../agent/identity/policy.ts';
import {
  MAX_POLICIES,
  PolicyChain,
  readPolicyChain,
  writePolicyChain,
} from '../../agent/identity/policy-chain.ts';
import { toHex } from '../../agent/identity/sodium.ts';
import { STATE_FILE, StateDir } from '../../agent/identity/state-dir.ts';
import { DAY_MS, NOW_MS, World } from './identity-world.ts';

const { meshId, root, policy: first } = new World().mesh;

function next(held: SignedPolicy, change: Partial<Policy> = {}): SignedPolicy {
  const bytes = signPolicy(
    { ...held, seq: held.seq + 1, prevId: held.id, ...change },
    meshId,
    root.secretKey,
  );
  const policy = parsePolicy(bytes, meshId, root.publicKey);
  assert.ok(policy);
  return policy;
}

test('policies are taken one after the other, and nothing goes back', () => {
  const chain = new PolicyChain([first]);
  const second = next(first, { nodeLifeSec: 86_400 });
  const third = next(second);
  assert.equal(chain.offer(third), 'unchained');
  assert.equal(chain.offer(second), 'successor');
  assert.equal(chain.offer(second), 'same');
  assert.equal(chain.offer(third), 'successor');
  assert.equal(chain.offer(second), 'older');
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

test('no policy from afar opens a sealed segment', () => {
  const chain = new PolicyChain([first]);
  const plain = first.segments.map((s) => ({ ...s, mode: 'plain' as const }));
  assert.equal(chain.offer(next(first, { segments: plain })), 'opens');
  assert.equal(chain.current.seq, 1);
});

test('who is behind is told what it lacks, in order', () => {
  const chain = new PolicyChain([first]);
  const second = next(first);
  const third = next(second);
  for (const policy of [second, third]) chain.offer(policy);
  const told = (has: SignedPolicy): number[] => chain.after((id) => id === toHex(has.id)).map((p) => p.seq);
  assert.deepEqual([told(first), told(second), told(third)], [[2, 3], [3], []]);
});

test('the chain is bounded, survives on disk, and a power cut between its files takes the last step back', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-policies-'));
  try {
    const state = StateDir.open(join(folder, 'state'));
    const chain = new PolicyChain([first]);
    for (let i = 0; i < MAX_POLICIES + 5; i++)
      chain.offer(next(chain.current, { timeMs: NOW_MS + i * DAY_MS }));
    assert.equal(chain.all.length, MAX_POLICIES);
    writePolicyChain(state, chain);
    const read = readPolicyChain(state, chain.current, meshId, root.publicKey);
    assert.deepEqual(
      read.all.map((p) => p.seq),
      chain.all.map((p) => p.seq),
    );
    const before = chain.all.at(-2);
    assert.ok(before);
    assert.equal(readPolicyChain(state, before, meshId, root.publicKey).current.seq, before.seq);
    const bytes = Buffer.from(state.read(STATE_FILE.policies));
    writeFileSync(state.file(STATE_FILE.policies), bytes.subarray(0, bytes.length - 1));
    assert.throws(() => readPolicyChain(state, chain.current, meshId, root.publicKey), { code: 'E_STATE' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
