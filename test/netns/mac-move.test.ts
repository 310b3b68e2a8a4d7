/** A MAC address behind one bridge holder moves behind another: frames follow it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { EventsReport, FdbReport } from '../../agent/control/api-types.ts';
import { delay, until } from '../../agent/lab/wait.ts';
import { BROADCAST, FrameSender, frame, framesFrom } from './frames.ts';
import { Mesh } from './mesh.ts';
import { Recording } from './programs.ts';

const GUEST = '02:5e:00:00:00:42';
const CALLER = '02:5e:00:00:00:43';
/** A freeze after a move may hold the next one back for a while. */
const MOVE_MS = 15_000;

let mesh: Mesh;
let senders: FrameSender[];
before(async () => {
  mesh = await Mesh.start({ hosts: 3 });
  senders = mesh.hosts.map((host) => new FrameSender(host.node.namespace));
});
after(async () => {
  await Promise.all((senders ?? []).map((sender) => sender.stop()));
  await mesh?.remove();
});

const announce = (index: number): Promise<void> =>
  senders[index]?.frames({ device: 'weft0', frames: [frame({ to: BROADCAST, from: GUEST, size: 60 })] }) ??
  Promise.reject(new Error('no sender'));

/** Where host 1 believes the guest to be. */
async function place(): Promise<string | null> {
  const { entries } = await mesh.host(0).api.get<FdbReport>('/v1/fdb');
  return entries.find((entry) => entry.mac === GUEST)?.peer ?? null;
}

/** Lets the guest speak behind a host until host 1 has learned it. */
function settleAt(index: number): Promise<true> {
  return until(`guest behind host${index + 1}`, { timeoutMs: MOVE_MS, everyMs: 200 }, async () => {
    await announce(index);
    return (await place()) === mesh.host(index).name ? true : null;
  });
}

/** How many of five frames that host 1 sends to the guest come to hosts 2 and 3, once there are `expected` of them. */
async function reached(expected: readonly number[]): Promise<number[]> {
  const recordings = await Promise.all(
    [1, 2].map((i) =>
      Recording.start(mesh.host(i).node.namespace, 'weft0', mesh.folder, { direction: 'in' }),
    ),
  );
  const frames = [1, 2, 3, 4, 5].map((seed) => frame({ to: GUEST, from: CALLER, size: 80, seed }));
  await senders[0]?.frames({ device: 'weft0', frames });
  return Promise.all(
    recordings.map(async (recording, i) => {
      const packets = await recording.stop((seen) => framesFrom(seen, CALLER).length >= (expected[i] ?? 0));
      return framesFrom(packets, CALLER).length;
    }),
  );
}

test('an unknown address is flooded to every host', async () => {
  assert.deepEqual(await reached([5, 5]), [5, 5]);
});

test('a learned address gets its frames alone', async () => {
  await settleAt(1);
  assert.deepEqual(await reached([5, 0]), [5, 0]);
});

test('after a move the frames follow, and the move is counted', async () => {
  const before = await mesh.metric(0, 'weft_fdb_moves_total');
  // Two looks of the event watch, so that it knows where the address was.
  await delay(3000);
  await settleAt(2);
  assert.deepEqual(await reached([0, 5]), [0, 5]);
  assert.ok((await mesh.metric(0, 'weft_fdb_moves_total')) > before);
  const told = await until('event of the move', { timeoutMs: 5000 }, async () => {
    const { events } = await mesh.host(0).api.get<EventsReport>('/v1/events');
    return events.find(({ type, subject }) => type === 'mac-move' && subject === GUEST) ?? null;
  });
  assert.equal(told.text, 'from host2 to host3, vni 1');
});

test('an address that moves to the own host is no longer sent away', async () => {
  await until('guest behind host1', { timeoutMs: MOVE_MS, everyMs: 200 }, async () => {
    await announce(0);
    return (await place()) === null && (await reached([0, 0])).every((count) => count === 0) ? true : null;
  });
});
