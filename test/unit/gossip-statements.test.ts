import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type { StatementStore } from '../../gossip/index.ts';
import { Swim, type SwimOutput } from '../../gossip/index.ts';
import { decodeBody, encodeMessage, MAX_LISTED, MAX_STATEMENT, type Message } from '../../gossip/message.ts';
import { Disk, idOf, makeRecord, SeededRng, sealerOf, verifier } from '../sim/cheap-parts.ts';

const idOfBytes = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex').slice(0, 16);

/** Takes anything but what begins with 0xff, and what begins with 0xfe only after some 0xfd. */
class Store implements StatementStore {
  /** By id; bounded by the test. */
  readonly held = new Map<string, Uint8Array>();
  ids(): readonly string[] {
    return [...this.held.keys()].sort();
  }
  digest(): Uint8Array {
    return new Uint8Array(createHash('sha256').update(this.ids().join()).digest().subarray(0, 16));
  }
  get(id: string): Uint8Array | null {
    return this.held.get(id) ?? null;
  }
  missing(from: string, to: string, there: ReadonlySet<string>): readonly string[] {
    return [...this.held.keys()].filter((id) => id >= from && id <= to && !there.has(id));
  }
  knows(id: string): boolean {
    return this.held.has(id);
  }
  holds(bytes: Uint8Array): boolean {
    return this.held.has(idOfBytes(bytes));
  }
  receive(bytes: Uint8Array): 'refused' | { readonly id: string } {
    if (bytes[0] === 0xff) return 'refused';
    if (bytes[0] === 0xfe && ![...this.held.values()].some(([kind]) => kind === 0xfd)) return 'refused';
    this.held.set(idOfBytes(bytes), bytes);
    return { id: idOfBytes(bytes) };
  }
  banned(): null {
    return null;
  }
}

function pair() {
  const stores = [new Store(), new Store()] as const;
  const own = [0, 1].map((n) => makeRecord(idOf(n), 1, 0));
  const addresses = own.map((record) => record.address);
  const drops: string[] = [];
  const start = (n: 0 | 1): Swim => {
    const disk = new Disk(n);
    disk.incarnation = 1;
    const seed = own[0];
    const record = own[n];
    assert.ok(seed?.address && record);
    return new Swim(
      {
        own: record,
        sealer: sealerOf(disk.id),
        verifier,
        signer: disk.signer(),
        persistence: disk,
        rng: new SeededRng(n + 1),
        contacts: n === 0 ? [] : [{ id: seed.id, boxKey: seed.boxKey, address: seed.address }],
        statements: stores[n],
      },
      0,
    );
  };
  const swims = [start(0), start(1)] as const;
  let now = 0;
  const deliver = (from: 0 | 1, outputs: readonly SwimOutput[]): void => {
    for (const o of outputs) {
      if (o.type === 'drop') drops.push(o.reason);
      const source = addresses[from];
      const to = from === 0 ? 1 : 0;
      if (o.type === 'send' && source) deliver(to, swims[to].datagram(now, o.bytes, source));
    }
  };
  const run = (ms: number): void => {
    for (const end = now + ms; now < end; now += 100)
      for (const n of [0, 1] as const) deliver(n, swims[n].tick(now));
  };
  return { stores, swims, run, deliver, drops, now: () => now };
}

const statement = (n: number): Uint8Array => new Uint8Array([1, n >> 8, n & 0xff]);

test('a statement is told at once', () => {
  const { stores, swims, run, deliver, now } = pair();
  run(5000);
  const taken = stores[0].receive(statement(1));
  assert.ok(typeof taken !== 'string');
  deliver(0, swims[0].tell(now(), taken.id));
  assert.deepEqual(stores[1].ids(), stores[0].ids());
});

test('what two hosts do not both have is found by the digest in a ping, also when it is more than one list', () => {
  const { stores, run } = pair();
  run(5000);
  for (let i = 0; i < 300; i++) stores[i % 3 === 0 ? 0 : 1].receive(statement(i));
  run(60_000);
  assert.equal(stores[0].ids().length, 300);
  assert.deepEqual(stores[1].ids(), stores[0].ids());
});

test('what the store refuses is neither kept nor passed on', () => {
  const { stores, run, drops } = pair();
  run(5000);
  stores[0].held.set(idOfBytes(new Uint8Array([0xff])), new Uint8Array([0xff]));
  run(15_000);
  assert.equal(stores[1].held.size, 0);
  assert.ok(drops.includes('gossip'));
});

test('what was refused is asked for again as soon as what it stands on was taken', () => {
  for (const order of [
    [0xfe, 0xfd],
    [0xfd, 0xfe],
  ]) {
    const { stores, swims, run, deliver, now } = pair();
    run(5000);
    for (const kind of order) stores[0].held.set(idOfBytes(new Uint8Array([kind])), new Uint8Array([kind]));
    deliver(0, swims[0].compare(now(), idOf(1)));
    assert.deepEqual(stores[1].ids(), stores[0].ids());
  }
});

test('each message reads back as it was written, and a wrong body is refused', () => {
  const id = 'ab'.repeat(8);
  const messages: Message[] = [
    { type: 'statement', statement: new Uint8Array(MAX_STATEMENT).fill(3) },
    { type: 'statementDigest', digest: new Uint8Array(16).fill(4) },
    { type: 'statementList', from: '0'.repeat(16), to: 'f'.repeat(16), ids: Array(MAX_LISTED).fill(id) },
    { type: 'statementWant', ids: [id] },
  ];
  for (const message of messages) {
    const bytes = encodeMessage(message);
    assert.deepEqual(decodeBody(bytes[0] ?? 0, bytes.subarray(3)), message);
  }
  const wrong: [number, number][] = [
    [11, 0],
    [11, MAX_STATEMENT + 1],
    [12, 15],
    [13, 8],
    [13, 8 * (MAX_LISTED + 3)],
    [14, 9],
  ];
  for (const [type, size] of wrong)
    assert.equal(decodeBody(type, new Uint8Array(size)), null, `${type} of ${size}`);
});
