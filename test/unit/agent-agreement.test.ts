import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Agreement, type Facts, type TransmitKeyOutput } from '../../agent/agent-agreement.ts';
import { TestClock } from './identity-world.ts';

const id = (n: number) => new Uint8Array(16).fill(n);
const own = { policySeq: 3, policyId: id(3), revocationDigest: id(7) };
const behind = { ...own, policySeq: 2, policyId: id(2) };

let now: typeof own;
let record: Facts | null;
let installed: number[];
let compared: string[];
let timers: (() => void)[];
let clock: TestClock;
let agreement: Agreement;

beforeEach(() => {
  [now, record, installed, compared, timers] = [own, null, [], [], []];
  clock = new TestClock();
  agreement = new Agreement({
    clock: {
      wallMs: () => clock.wallMs(),
      monotonicMs: () => clock.monotonicMs(),
      every: () => () => {},
      after: (_ms, run) => {
        timers.push(run);
        return () => void timers.splice(timers.indexOf(run), 1);
      },
    },
    local: () => now,
    recordOf: () => record,
    compare: (peer) => compared.push(peer),
    install: ({ lane }) => installed.push(lane),
  });
});

const key = (facts: typeof own, lane = 0): TransmitKeyOutput => ({
  kind: 'installTransmit',
  peer: 'beta',
  lane,
  index: lane,
  suite: 2,
  inner: 1,
  flags: 1,
  key: new Uint8Array(32).fill(9),
  facts: { incarnation: 1, ...facts },
});

test('who knows the same gets its keys at once', () => {
  agreement.take(key(own));
  assert.deepEqual([installed, compared], [[0], []]);
});

test('a mismatch of policy or revocations syncs before data', () => {
  for (const facts of [behind, { ...own, policyId: id(4) }, { ...own, revocationDigest: id(8) }]) {
    const other = key(facts);
    agreement.take(other);
    agreement.forget('beta');
    assert.deepEqual(other.key, new Uint8Array(32), 'a key that is not used is zeroed');
  }
  assert.deepEqual([installed, compared.length], [[], 3]);
});

test('data begins when this host has caught up, or the peer says that it has', () => {
  now = behind;
  agreement.take(key(own, 0));
  agreement.take(key(own, 1));
  agreement.look();
  assert.deepEqual(installed, []);
  now = own;
  agreement.look();
  assert.deepEqual([installed, timers.length], [[0, 1], 0]);
  clock.pass(20_000);
  agreement.take(key(behind));
  record = { policySeq: 2, revocationDigest: id(7) };
  agreement.look();
  assert.equal(installed.length, 2);
  record = { policySeq: 3, revocationDigest: id(7) };
  agreement.look();
  assert.equal(installed.length, 3);
});

test('after 2 s it goes on with what is known, and asks the same peer again only 10 s later', () => {
  agreement.take(key(behind));
  timers[0]?.();
  assert.deepEqual(installed, [0]);
  clock.pass(9000);
  agreement.take(key(behind));
  assert.deepEqual([installed, compared.length], [[0, 0], 1]);
  clock.pass(2000);
  agreement.take(key(behind));
  assert.deepEqual([installed.length, compared.length], [2, 2]);
});

test('a newer key replaces one that waits, and a session that is over takes its keys along', () => {
  const [first, second] = [key(behind), key(behind)];
  agreement.take(first);
  agreement.take(second);
  assert.deepEqual(first.key, new Uint8Array(32));
  agreement.drop('beta');
  now = behind;
  agreement.look();
  assert.deepEqual([installed, second.key], [[], new Uint8Array(32)]);
});
