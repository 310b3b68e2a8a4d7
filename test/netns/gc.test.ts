/** No garbage collection in the workers under load: the hot path allocates nothing per frame. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ApiClient } from '../../agent/cli/client.ts';
import { Mesh, overlayOf } from './mesh.ts';
import { iperf } from './programs.ts';

const LOAD_SEC = 30;
/** Long enough for start-up code to have been compiled and its garbage to be gone. */
const WARM_SEC = 4;

interface GcCounts {
  /** Collections in the worker while it was watched. */
  readonly transmit: number;
  readonly receive: number;
}

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start({ hosts: 2 });
});
after(() => mesh?.remove());

function watch(index: number, seconds: number, deliberate: boolean): Promise<GcCounts> {
  return new ApiClient(mesh.host(index).socketPath, 60_000).send<GcCounts>('POST', '/v1/debug/gc', {
    seconds,
    deliberate,
  });
}

/** TCP both ways at once, so that both workers of both hosts carry full load. */
async function load(seconds: number): Promise<number> {
  const [a = '', b = ''] = mesh.hosts.map((host) => host.node.namespace);
  const { bitsPerSec } = await iperf(b, a, await overlayOf(mesh.host(1)), ['--bidir'], seconds);
  return bitsPerSec;
}

test('the watch sees a deliberate allocation in each worker', async () => {
  const counts = await watch(0, 2, true);
  assert.ok(counts.transmit > 0 && counts.receive > 0, JSON.stringify(counts));
});

test(`no collection in either worker of either host over ${LOAD_SEC} s of load`, async (t) => {
  await load(WARM_SEC);
  const [first, second, bitsPerSec] = await Promise.all([
    watch(0, LOAD_SEC, false),
    watch(1, LOAD_SEC, false),
    load(LOAD_SEC + 1),
  ]);
  t.diagnostic(`${JSON.stringify([first, second])} at ${Math.round(bitsPerSec / 1e6)} Mbit/s each way`);
  assert.ok(bitsPerSec > 50e6);
  assert.deepEqual(first, { ...first, transmit: 0, receive: 0 });
  assert.deepEqual(second, { ...second, transmit: 0, receive: 0 });
});
