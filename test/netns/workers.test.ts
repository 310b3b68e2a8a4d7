/** Every layout of workers carries the same traffic: one thread for both directions, one pair, two pairs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StatusReport } from '../../agent/control/api-types.ts';
import { until } from '../../agent/lab/wait.ts';
import { TAP_QUEUE_FRAMES } from '../../agent/segment/tap-device.ts';
import { Mesh, overlayOf } from './mesh.ts';
import { iperf, ping } from './programs.ts';

const LAYOUTS = [
  { workers: 'single', shown: 'single', threads: 1 },
  { workers: '1', shown: 1, threads: 2 },
  { workers: '2', shown: 2, threads: 4 },
] as const;

/** Both directions of several flows, small and large frames; what each flow brought, in bits per second. */
async function traffic(mesh: Mesh): Promise<void> {
  const addresses = await Promise.all(mesh.hosts.map(overlayOf));
  const namespaceOf = (index: number): string => mesh.host(index).node.namespace;
  for (const [from, to] of [
    [0, 1],
    [1, 0],
  ] as const) {
    const target = addresses[to] ?? '';
    const counts = await ping(namespaceOf(from), target, { count: 500, intervalSec: 0.001 });
    assert.deepEqual(counts, { sent: 500, received: 500, duplicates: 0 }, `${from} to ${to}`);
    const flows = await iperf(namespaceOf(to), namespaceOf(from), target, ['-P', '8'], 1);
    assert.ok(flows.bitsPerSec > 100e6, `8 flows: ${flows.bitsPerSec / 1e6} Mbit/s`);
    const udp = ['-u', '-b', '10M', '-l', '600', '-P', '4', '-w', '2M'];
    const { packets, lostPackets } = await iperf(namespaceOf(to), namespaceOf(from), target, udp, 1);
    assert.ok(lostPackets / packets < 0.005, `UDP: ${lostPackets} of ${packets} lost`);
  }
}

/** Drops that would mean that a packet met the wrong worker, or was taken twice. */
async function wrongWorker(mesh: Mesh): Promise<string[]> {
  const texts = await Promise.all(mesh.hosts.map((host) => host.weftOk(['metrics'])));
  return texts
    .flatMap((text) => text.split('\n'))
    .filter((line) => /^weft_dropped_frames_total\{.*reason="(lane|replay|auth)"\} [1-9]/.test(line));
}

for (const { workers, shown, threads } of LAYOUTS) {
  const modes = workers === '2' ? (['sealed', 'plain'] as const) : (['sealed'] as const);
  for (const mode of modes) {
    test(`workers: ${workers}, ${mode}: ${threads} data-plane threads on each host, and nothing is lost`, async () => {
      const mesh = await Mesh.start({ hosts: 2, mode, config: `workers: ${workers}\n` });
      try {
        const status = await mesh.host(0).api.get<StatusReport>('/v1/status');
        assert.equal(status.workers, shown);
        await traffic(mesh);
        if (workers === '2') {
          // The second queue is opened once every peer takes several ports; then flows use both.
          for (const index of [0, 1])
            await until('the second TAP queue', { timeoutMs: 60_000 }, async () =>
              (await queuesOf(mesh, index)) === 2 ? true : null,
            );
          await traffic(mesh);
        }
        assert.deepEqual(await wrongWorker(mesh), []);
      } finally {
        await mesh.remove();
      }
    });
  }
}

/** Queues of a host's TAP that get frames; each keeps more of them than the kernel's own would. */
async function queuesOf(mesh: Mesh, index: number): Promise<number> {
  const text = await mesh.runOk(index, ['ip', '-json', '-details', 'link', 'show', 'dev', 'weft0']);
  const [link] = JSON.parse(text) as { txqlen: number; linkinfo: { info_data: { numqueues: number } } }[];
  assert.equal(link?.txqlen, TAP_QUEUE_FRAMES);
  return link?.linkinfo.info_data.numqueues ?? 0;
}
