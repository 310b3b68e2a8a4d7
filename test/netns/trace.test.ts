/**
 * `weft trace` against reality: random frames, for each the prediction first, then the frame itself, then what the counters say. A
 * mesh of four (one path narrow, one host without a session) for frames from the TAP; a plain segment with a stranger's endpoint for frames
 * that come in.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { frameOfText } from '../../agent/cli/frame/text.ts';
import type { StatusReport, TraceReport, TraceRequest } from '../../agent/control/api-types.ts';
import { delay, until } from '../../agent/lab/wait.ts';
import { BROADCAST, FrameSender, frame, vxlan } from './frames.ts';
import { Mesh } from './mesh.ts';
import { Random } from './random.ts';

const SEED = 20_261_123;
const OUT_FRAMES = 1000;
const IN_FRAMES = 200;
const TAP = 'weft0';

/** What happened or would happen: frames to each peer or to the TAP, and drops by reason; zeros left out. */
type Effects = Readonly<Record<string, number>>;

function predicted({ direction, verdict, copies, drops }: TraceReport): Effects {
  const effects: Record<string, number> = {};
  for (const { reason, count } of drops) effects[`drop ${reason}`] = count;
  for (const { peer, verdict: each } of copies) if (each === 'sent') effects[`to ${peer}`] = 1;
  if (direction === 'in' && verdict === 'forwarded') effects['to the TAP'] = 1;
  return effects;
}

async function counted(mesh: Mesh, direction: 'transmit' | 'receive'): Promise<Effects> {
  const text = await mesh.host(0).api.getText('/v1/metrics');
  const effects: Record<string, number> = {};
  const add = (pattern: RegExp, name: (label: string) => string): void => {
    for (const [, label = '', value] of text.matchAll(pattern)) effects[name(label)] = Number(value);
  };
  add(
    new RegExp(`^weft_dropped_frames_total\\{direction="${direction}",reason="(\\w+)"\\} (\\d+)$`, 'gm'),
    (reason) => `drop ${reason}`,
  );
  if (direction === 'transmit')
    add(/^weft_peer_transmit_packets_total\{peer="([^"]+)"\} (\d+)$/gm, (peer) => `to ${peer}`);
  else add(/^weft_frames_total\{direction="(receive)"\} (\d+)$/gm, () => 'to the TAP');
  return effects;
}

function difference(now: Effects, then: Effects): Effects {
  const pairs = Object.keys(now).map((key): [string, number] => [key, (now[key] ?? 0) - (then[key] ?? 0)]);
  return Object.fromEntries(pairs.filter(([, count]) => count !== 0));
}

const total = (effects: Effects): number => Object.values(effects).reduce((sum, count) => sum + count, 0);
const sorted = (effects: Effects): string => JSON.stringify(Object.entries(effects).sort());

/** Injects each frame after asking about it. Returns how often each outcome was seen. */
async function compare(
  mesh: Mesh,
  frames: Iterable<Buffer>,
  options: {
    readonly from: string | null;
    readonly inject: (bytes: Buffer) => Promise<void>;
  },
): Promise<Map<string, number>> {
  const direction = options.from === null ? 'transmit' : 'receive';
  const seen = new Map<string, number>();
  let before = await counted(mesh, direction);
  for (const bytes of frames) {
    const request: TraceRequest = {
      direction: options.from === null ? 'out' : 'in',
      peer: options.from,
      frame: bytes.subarray(0, 2048).toString('hex'),
      sizeBytes: bytes.length,
    };
    const report = await mesh.host(0).api.send<TraceReport>('POST', '/v1/trace', request);
    const expected = predicted(report);
    await options.inject(bytes);
    let actual: Effects = {};
    await until('counters', { timeoutMs: 5000, everyMs: 1 }, async () => {
      actual = difference(await counted(mesh, direction), before);
      return total(actual) >= total(expected) ? true : null;
    }).catch(() => null);
    const said = `${report.summary}\n${report.steps.map(({ stage, text }) => `${stage}: ${text}`).join('\n')}`;
    assert.equal(sorted(actual), sorted(expected), `${said}\n${bytes.toString('hex')}`);
    before = Object.fromEntries(Object.entries(before).map(([key, n]) => [key, n + (actual[key] ?? 0)]));
    const outcome = Object.keys(expected).sort().join(', ');
    seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
  }
  assert.deepEqual(difference(await counted(mesh, direction), before), {}, 'nothing came late');
  return seen;
}

/** No frame of the kernel's own disturbs the count, and the device takes frames that the segment does not. */
async function quieten(mesh: Mesh, index: number): Promise<void> {
  await mesh.runOk(index, ['sysctl', '-qw', `net.ipv6.conf.${TAP}.disable_ipv6=1`]);
  await mesh.runOk(index, ['ip', 'address', 'flush', 'dev', TAP]);
  await mesh.runOk(index, ['ip', 'link', 'set', TAP, 'mtu', '9000']);
}

const macOf = async (mesh: Mesh, index: number): Promise<string> =>
  (await mesh.host(index).api.get<StatusReport>('/v1/status')).mac;

/** A frame of random kind and size between two addresses. */
function randomFrame(random: Random, from: string, to: string, largest: number): Buffer {
  const size = random.below(3) === 0 ? 14 + random.below(largest - 14) : 60 + random.below(60);
  const protocol = random.pick(['tcp', 'udp', 'icmp']);
  const ports = protocol === 'icmp' ? [] : [String(random.below(65_536)), String(random.below(65_536))];
  const kind = random.below(4);
  if (kind === 0)
    return Buffer.from(frameOfText([from, to, '10.9.0.1', '10.9.0.2', protocol, ...ports], size));
  if (kind === 1)
    return Buffer.from(
      frameOfText([from, to, 'fd00::1', 'fd00::2', protocol.replace('icmp', 'icmp6'), ...ports], size),
    );
  const tags = random.below(3) === 0 ? [{ tpid: 0x8100, tci: random.below(4096) }] : [];
  // A payload that cannot be taken for a protocol whose lengths matter.
  return frame({ from, to, tags, size: Math.max(size, 22), type: random.pick([0x88b5, 0x88b6, 0x0806]) });
}

describe('frames from the TAP', () => {
  let mesh: Mesh;
  let sender: FrameSender;
  before(async () => {
    mesh = await Mesh.underlay({ hosts: 4 });
    await mesh.inRouter(['ip', 'link', 'set', 'to2', 'mtu', '1400']);
    await mesh.init();
    await mesh.join(mesh.hosts.slice(1));
    await mesh.converged();
    sender = new FrameSender(mesh.host(0).node.namespace);
  });
  after(async () => {
    await sender?.stop();
    await mesh?.remove();
  });

  test(`${OUT_FRAMES} of ${OUT_FRAMES} verdicts and reasons are those of the counters`, async (t) => {
    const random = new Random(SEED);
    const macs = await Promise.all([0, 1, 2, 3].map((i) => macOf(mesh, i)));
    // A host that gossip reaches and no session: this one starts anew, and the underlay drops what is sealed between the two.
    const rule = 'add table inet t; add chain inet t f { type filter hook forward priority 0; }';
    await mesh.inRouter([
      'nft',
      `${rule}; add rule inet t f oifname "to4" iifname "to1" udp dport 7947 drop`,
    ]);
    await mesh.host(0).stop();
    mesh.host(0).start(['run']);
    await mesh.host(0).ready();
    await until('sessions', { timeoutMs: 30_000 }, async () =>
      (await mesh.host(0).peers()).filter(({ state }) => state === 'up').length === 2 ? true : null,
    );
    for (const index of [0, 1, 2]) await quieten(mesh, index);
    await until('narrow path', { timeoutMs: 30_000 }, async () =>
      (await mesh.host(0).peers()).some(({ name, pmtu }) => name === 'host2' && pmtu === 1400) ? true : null,
    );
    // Addresses behind host2 and host3 that are learned, not known from a certificate.
    const far = Array.from({ length: 12 }, () => random.mac());
    for (const index of [1, 2]) {
      const other = new FrameSender(mesh.host(index).node.namespace);
      const own = far.filter((_, i) => i % 2 === index - 1);
      await other.frames({
        device: TAP,
        frames: own.map((from) => frame({ to: BROADCAST, from, size: 60 })),
      });
      await other.stop();
    }
    await until('learned addresses', { timeoutMs: 10_000 }, async () => {
      const text = await mesh.host(0).weftOk(['fdb']);
      return far.every((mac) => text.includes(mac)) ? true : null;
    });
    // The later of two sightings counts, in whole seconds: within that of the far one a frame could come before or after the next.
    await delay(1100);
    const near = Array.from({ length: 300 }, () => random.mac());
    const groups = [BROADCAST, '01:00:5e:00:00:fb', '33:33:00:00:00:01'];
    function* frames(): Generator<Buffer> {
      for (let i = 0; i < OUT_FRAMES; i++) {
        const from =
          random.below(15) === 0
            ? random.pick(['00:00:00:00:00:00', '01:00:5e:00:00:01', BROADCAST, ...far])
            : random.pick(near);
        const to = random.pick([
          ...macs,
          random.pick(far),
          random.pick(far),
          random.pick(groups),
          random.pick(near),
          random.mac(),
          from,
        ]);
        yield randomFrame(random, from, to, random.below(10) === 0 ? 2000 : 1412);
      }
    }
    const inject = (bytes: Buffer): Promise<void> => sender.frames({ device: TAP, frames: [bytes] });
    const seen = await compare(mesh, frames(), { from: null, inject });
    t.diagnostic(`seed ${SEED}: ${JSON.stringify(Object.fromEntries(seen))}`);
    const outcomes = [...seen.keys()].join();
    for (const one of [
      'to host2',
      'to host2, to host3',
      'drop too_big',
      'drop local',
      'drop source_mac',
      'drop oversize',
      'drop no_session',
    ])
      assert.ok(outcomes.includes(one), `${one} is among ${outcomes}`);
    assert.equal(
      [...seen.values()].reduce((sum, n) => sum + n),
      OUT_FRAMES,
    );
  });
});

describe('frames that come in', () => {
  let mesh: Mesh;
  let sender: FrameSender;
  before(async () => {
    mesh = await Mesh.start({ hosts: 2, mode: 'plain' });
    sender = new FrameSender(mesh.topology.router);
  });
  after(async () => {
    await sender?.stop();
    await mesh?.remove();
  });

  test(`${IN_FRAMES} of ${IN_FRAMES} verdicts and reasons are those of the counters, a TAP that is down included`, async (t) => {
    const random = new Random(SEED + 1);
    const macs = await Promise.all([0, 1].map((i) => macOf(mesh, i)));
    const { vni } = await mesh.host(0).api.get<StatusReport>('/v1/status');
    const address = mesh.host(0).node.address.replace(/\d+$/, '1');
    await mesh.host(0).weftOk(['vtep', 'add', address]);
    for (const index of [0, 1]) await quieten(mesh, index);
    const near = Array.from({ length: 40 }, () => random.mac());
    function* frames(count: number): Generator<Buffer> {
      for (let i = 0; i < count; i++) {
        const from = random.pick([
          '00:00:00:00:00:00',
          '01:00:5e:00:00:01',
          ...macs,
          ...near.slice(0, 8),
          random.pick(near),
        ]);
        const to = random.pick([BROADCAST, ...macs, random.mac()]);
        const bytes = randomFrame(random, from, to, 1400);
        const oddity = random.below(12);
        if (oddity === 0) yield bytes.subarray(0, 1 + random.below(13));
        else if (oddity === 1) yield frame({ from, to, size: 1450 + random.below(20_000) });
        else yield bytes;
      }
    }
    const port = 4789;
    const inject = async (bytes: Buffer): Promise<void> => {
      const { address: to } = mesh.host(0).node;
      await sender.datagrams({ address: to, port, payloads: [vxlan(vni, bytes)], listenMs: 0 });
    };
    const seen = await compare(mesh, frames(IN_FRAMES), { from: address, inject });
    await mesh.runOk(0, ['ip', 'link', 'set', TAP, 'down']);
    const down = await compare(mesh, frames(20), { from: address, inject });
    t.diagnostic(`seed ${SEED + 1}: ${JSON.stringify([Object.fromEntries(seen), Object.fromEntries(down)])}`);
    const outcomes = [...seen.keys(), ...down.keys()].join();
    for (const one of [
      'to the TAP',
      'drop mac_spoof',
      'drop source_mac',
      'drop runt',
      'drop csum',
      'drop tap_down',
    ])
      assert.ok(outcomes.includes(one), `${one} is among ${outcomes}`);
  });
});
