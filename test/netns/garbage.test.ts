/** Garbage on every UDP port, of every length: the agents stay up, count it, and never answer more than was asked. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { delay, until } from '../../agent/lab/wait.ts';
import { FrameSender } from './frames.ts';
import { Mesh, overlayOf } from './mesh.ts';
import { ping } from './programs.ts';

const MAX_DATAGRAM = 65_507;
/** First bytes that mean something to one of the protocols, and some that mean nothing. */
const TYPES = [0, 1, 2, 3, 4, 5, 8, 16, 17, 21, 255];
/** Lengths that some rule names, and their neighbours. */
const LENGTHS = [
  ...Array.from({ length: 72 }, (_, i) => i),
  ...[100, 127, 128, 255, 256, 448, 512, 1199, 1200, 1201, 1231, 1232, 1233, 1280, 1400, 1472],
];
const LARGE = [1473, 4000, 9000, 32_768, 65_000, MAX_DATAGRAM];

/** Reproducible noise. */
function noise(length: number, type: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0, n = 0; at < length; n++) {
    at += createHash('sha256').update(`${length} ${type} ${seed} ${n}`).digest().copy(bytes, at);
  }
  if (length > 0) bytes[0] = type;
  // Versions, suites and reserved bytes as the formats want them, so that some get past the first look.
  if (length > 4 && seed % 2 === 1) bytes.set(seed % 3 === 0 ? [2, 1, 0] : [1, 0, 0], 1);
  return bytes;
}

for (const mode of ['sealed', 'plain'] as const) {
  describe(`garbage at a ${mode} mesh`, () => {
    let mesh: Mesh;
    let sender: FrameSender;
    const ports = mode === 'sealed' ? [7946, 7947] : [7946, 7947, 4789];
    after(async () => {
      await sender?.stop();
      await mesh?.remove();
    });

    const counted = async (): Promise<number> =>
      (await mesh.metric(0, 'weft_dropped_frames_total')) +
      (await mesh.metric(0, 'weft_udp_socket_drops_total'));

    test('of every length and kind: counted, and no answer larger than the question', async (t) => {
      mesh = await Mesh.start({ hosts: 3, mode });
      // The third host's namespace is where the stranger sits.
      await mesh.host(2).stop();
      sender = new FrameSender(mesh.host(2).node.namespace);
      const address = mesh.host(0).node.address;
      for (const port of ports) {
        const before = await counted();
        let sent = 0;
        for (const length of LENGTHS) {
          const payloads = TYPES.map((type, seed) => noise(length, type, seed));
          const answers = await sender.datagrams({ address, port, payloads, listenMs: 1 });
          assert.ok(
            answers.longest <= length,
            `${length} bytes to ${port} were answered with ${answers.longest}`,
          );
          sent += payloads.length;
        }
        // One by one: a handful of the largest fills the buffer of a socket.
        for (const length of LARGE) {
          for (const type of TYPES) {
            await sender.datagrams({ address, port, payloads: [noise(length, type, 1)], listenMs: 2 });
            sent++;
          }
        }
        // What the main thread counts waits its turn.
        await until('the count', { timeoutMs: 5000 }, async () =>
          (await counted()) - before >= sent ? true : null,
        ).catch(() => null);
        const delta = (await counted()) - before;
        t.diagnostic(`port ${port}: ${sent} sent, ${delta} counted`);
        assert.ok(delta >= sent, `port ${port}: ${sent} sent, ${delta} counted`);
      }
    });

    test('ports that nobody listens on stay silent and harmless', async () => {
      const payloads = [0, 8, 50, 1400].map((length) => noise(length, 8, 1));
      for (const port of [4789, 6081, 8472, 9586].filter((number) => !ports.includes(number))) {
        const answers = await sender.datagrams({
          address: mesh.host(0).node.address,
          port,
          payloads,
          listenMs: 20,
        });
        assert.equal(answers.count, 0);
      }
    });

    test('as fast as one socket can: traffic goes on and the agent is the same process', async () => {
      const pid = mesh.host(0).pid;
      const pings = ping(mesh.host(1).node.namespace, await overlayOf(mesh.host(0)), { count: 300 });
      const payloads = Array.from({ length: 5000 }, (_, seed) =>
        noise(1 + (seed % 1400), TYPES[seed % 11] ?? 0, seed),
      );
      for (const port of ports) {
        await sender.datagrams({ address: mesh.host(0).node.address, port, payloads, listenMs: 1 });
      }
      const { sent, received } = await pings;
      assert.ok(received >= sent * 0.99, `${received} of ${sent}`);
      await delay(500);
      assert.deepEqual([mesh.host(0).pid, mesh.host(0).exitStatus], [pid, null]);
      const members = await mesh.host(0).members();
      assert.equal(members.find(({ name }) => name === 'host2')?.state, 'alive');
    });
  });
}
