/** What tap.test.ts runs inside a network namespace of its own: real TAPs and the kernel's own stack behind them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import {
  closeFd,
  configureInterface,
  createFrameBatch,
  D,
  DESC_STRIDE,
  F_PARTIAL,
  F_REPAIR,
  injectFrame,
  interfaceIndex,
  interfaceMac,
  interfaceMtu,
  openPacketSocket,
  openTap,
  openUdp,
  RECV,
  Receiver,
  receivePackets,
  SLOT_BYTES,
  sendDatagram,
  sendPacket,
  sendRun,
  Transmitter,
  TUN_F,
  WaitSet,
  WRITE,
} from 'tun-tap';
import ts from 'typescript';
import { checksum, udpFrame } from './udp-frame.ts';

const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);
const PEER_MAC = Uint8Array.of(2, 0, 0, 0, 0, 2);
const MTU = 1400;
const EXPERIMENTAL = 0x88b5;
const HEADROOM = 128;

configureInterface('lo', { up: true });
const tap = openTap('t0', { multiQueue: true, offloads: TUN_F.CSUM });
configureInterface('t0', { mac: MAC, mtu: MTU, up: true });
execFileSync('ip', ['address', 'add', '10.9.0.1/24', 'dev', 't0']);
const batch = createFrameBatch(64);
const receiver = new Receiver(batch, { maxSessions: 1, worker: 0, workers: 1 });
const service = openUdp({ address: '10.9.0.1', port: 5000 });
const inbox = createFrameBatch(64);
const reader = new Receiver(inbox, { maxSessions: 1, worker: 0, workers: 1 });
const arrived = new WaitSet([service.fd]);

after(() => {
  closeFd(service.fd);
  closeFd(tap.fd);
});

function put(slot: number, frame: Uint8Array, flags: number): void {
  const off = slot * SLOT_BYTES + HEADROOM;
  batch.bytes.set(frame, off);
  const d = batch.desc.subarray(slot * DESC_STRIDE, (slot + 1) * DESC_STRIDE).fill(0);
  d.set([off, frame.length]);
  d[D.FLAGS] = flags;
  d[D.HDR] = WRITE;
  d[D.STATUS] = -1;
}

const statusOf = (slot: number): number => batch.desc[slot * DESC_STRIDE + D.STATUS]!;

/** Writes one frame to the TAP; the sizes of the datagrams that the kernel then hands to the service. */
function deliver(frame: Uint8Array, flags: number, fd = tap.fd): { status: number; sizes: number[] } {
  put(0, frame, flags);
  receiver.writeTap(fd, 1, MTU);
  const sizes: number[] = [];
  while (arrived.wait(sizes.length > 0 ? 20 : 100) !== 0) {
    const n = reader.receivePlain(service.fd, 0);
    for (let i = 0; i < n; i++) sizes.push(inbox.desc[i * DESC_STRIDE + D.LEN]!);
  }
  return { status: statusOf(0), sizes };
}

const frame = (payload: number, sum: 'whole' | 'partial' | 'wrong' | 'none'): Uint8Array =>
  udpFrame({ from: PEER_MAC, to: MAC, sourceIp: [10, 9, 0, 2], targetIp: [10, 9, 0, 1], payload, sum });

test('an interface has the address, MTU and index that the kernel shows', () => {
  assert.equal(tap.name, 't0');
  assert.deepEqual(interfaceMac('t0'), MAC);
  assert.equal(interfaceMtu('t0'), MTU);
  assert.equal(interfaceIndex('t0'), Number(readFileSync('/proc/net/dev_snmp6/t0', 'utf8').split(/\s+/)[1]));
});

test('each failure of a TAP or an interface has its code', () => {
  assert.throws(() => openTap('lo'), { code: 'EINVAL', message: /^TAP lo: / });
  assert.throws(() => openTap('0123456789abcdef'), TypeError);
  assert.throws(() => openTap('a/b'), { code: 'EINVAL' });
  const single = openTap('t1');
  assert.throws(() => openTap('t1'), { code: 'EBUSY' });
  closeFd(single.fd);
  for (const read of [interfaceIndex, interfaceMtu, interfaceMac])
    assert.throws(() => read('t1'), { code: 'ENODEV' });
  assert.throws(() => configureInterface('t1', { up: true }), { code: 'ENODEV' });
  assert.throws(() => configureInterface('t0', { mtu: 1 }), { code: 'EINVAL' });
  assert.throws(() => configureInterface('t0', { mac: Uint8Array.of(1, 0, 0, 0, 0, 1) }), {
    code: 'EADDRNOTAVAIL',
  });
  assert.throws(() => configureInterface('t0', { mac: new Uint8Array(5) }), TypeError);
  assert.throws(() => openPacketSocket('t1'), { code: 'ENODEV' });
});

/** The code of what `openTap` throws in a process that `command` starts. */
function codeUnder(command: string, args: readonly string[]): string {
  const library = import.meta.resolve('tun-tap');
  const script = `import('${library}').then(({ openTap }) => openTap('t9')).then(
    () => console.log('opened'), (error) => console.log(error.code, error.message))`;
  return execFileSync(command, [...args, process.execPath, '-e', script], { encoding: 'utf8' }).trim();
}

test('without the right to make a TAP it is EPERM, without /dev/net/tun it is ENOENT', () => {
  assert.match(codeUnder('setpriv', ['--bounding-set=-all']), /^EPERM TAP t9: /);
  const hide = 'mount -t tmpfs none /dev/net && exec "$@"';
  assert.match(codeUnder('unshare', ['--mount', 'sh', '-c', hide, 'sh']), /^ENOENT \/dev\/net\/tun: /);
});

test('a second queue of the same TAP opens', () => {
  const second = openTap('t0', { multiQueue: true });
  assert.notEqual(second.fd, tap.fd);
  closeFd(second.fd);
});

test('a template name is filled by the kernel, and a TAP goes when its last descriptor closes', () => {
  const made = openTap('any%d');
  assert.match(made.name, /^any\d+$/);
  assert.ok(interfaceIndex(made.name) > 0);
  closeFd(made.fd);
  assert.throws(() => interfaceIndex(made.name), { code: 'ENODEV' });
});

test('frames that the kernel sends are read with addresses, ethertype and length, as many as the batch has room for', () => {
  const frames = createFrameBatch(4);
  const socket = openUdp({ address: '127.0.0.1', port: 0 });
  const transmitter = new Transmitter(frames, { maxTunnels: 1, sockets: [socket.fd] });
  const packets = openPacketSocket('t0');
  while (transmitter.readTap(tap.fd) > 0);
  for (let i = 0; i < 6; i++) {
    const sent = new Uint8Array(60 + i);
    sent.set([...PEER_MAC, ...MAC, EXPERIMENTAL >> 8, EXPERIMENTAL & 0xff, i]);
    assert.equal(sendPacket(packets, sent), 0);
  }
  const seen: number[] = [];
  for (let n = transmitter.readTap(tap.fd); n > 0; n = transmitter.readTap(tap.fd)) {
    assert.ok(n <= 4);
    for (let i = 0; i < n; i++) {
      const d = frames.desc.subarray(i * DESC_STRIDE, (i + 1) * DESC_STRIDE);
      if (d[D.ETHERTYPE] !== EXPERIMENTAL) continue;
      assert.deepEqual([d[D.DST_HI], d[D.DST_LO], d[D.SRC_HI], d[D.SRC_LO]], [0x200, 2, 0x200, 1]);
      assert.deepEqual([d[D.OFF], d[D.STATUS]], [i * SLOT_BYTES + HEADROOM, 0]);
      assert.equal(frames.bytes[d[D.OFF]! + 14], seen.length);
      seen.push(d[D.LEN]!);
    }
  }
  assert.deepEqual(seen, [60, 61, 62, 63, 64, 65]);
  closeFd(packets);
  closeFd(socket.fd);
});

test('a written frame appears on the interface as it was, and only those marked for writing do', () => {
  const packets = openPacketSocket('t0');
  receivePackets(packets, inbox);
  for (let slot = 0; slot < 4; slot++) {
    const sent = new Uint8Array(60);
    sent.set([...MAC, ...PEER_MAC, EXPERIMENTAL >> 8, EXPERIMENTAL & 0xff, slot]);
    put(slot, sent, 0);
  }
  batch.desc[1 * DESC_STRIDE + D.HDR] = 0;
  batch.desc[2 * DESC_STRIDE + D.LEN] = SLOT_BYTES;
  assert.equal(receiver.writeTap(tap.fd, 4, MTU), 2);
  assert.deepEqual([0, 1, 2, 3].map(statusOf), [RECV.OK, -1, RECV.TAP_ERROR, RECV.OK]);
  new WaitSet([packets]).wait(1000);
  const n = receivePackets(packets, inbox);
  const marks: number[] = [];
  for (let i = 0; i < n; i++) {
    const off = inbox.desc[i * DESC_STRIDE + D.OFF]!;
    if (inbox.bytes[off + 12] === EXPERIMENTAL >> 8) marks.push(inbox.bytes[off + 14]!);
  }
  assert.deepEqual(marks, [0, 3]);
  closeFd(packets);
});

test('the frames that these tests make are right: a whole checksum is taken, a wrong one is not', () => {
  assert.equal(checksum(Uint8Array.of(0x45, 0, 0, 0)), 0xbaff);
  assert.deepEqual(deliver(frame(100, 'whole'), 0), { status: RECV.OK, sizes: [100] });
  assert.deepEqual(deliver(frame(100, 'wrong'), 0).sizes, []);
  assert.deepEqual(deliver(frame(100, 'partial'), 0).sizes, []);
});

test('a checksum that is incomplete under the seal is finished by the receiving kernel', () => {
  for (const sum of ['partial', 'wrong'] as const)
    assert.deepEqual(deliver(frame(101, sum), F_PARTIAL), { status: RECV.OK, sizes: [101] });
});

test('a plain frame with only its pseudo-header sum is repaired; a whole one, a wrong one and none stay as they are', () => {
  assert.deepEqual(deliver(frame(100, 'partial'), F_REPAIR), { status: RECV.OK, sizes: [100] });
  assert.deepEqual(deliver(frame(100, 'whole'), F_REPAIR), { status: RECV.OK, sizes: [100] });
  assert.deepEqual(deliver(frame(100, 'none'), F_REPAIR), { status: RECV.OK, sizes: [100] });
  assert.deepEqual(deliver(frame(100, 'wrong'), F_REPAIR), { status: RECV.OK, sizes: [] });
});

test('a super-frame is cut to the MTU by the receiving kernel', () => {
  const most = MTU - 28;
  const { status, sizes } = deliver(frame(3 * most + 7, 'partial'), F_REPAIR);
  assert.equal(status, RECV.OK);
  assert.deepEqual(sizes, [most, most, most, 7]);
});

test('what cannot be parsed has no checksum to repair: refused under the seal and above the MTU', () => {
  const odd = new Uint8Array(MTU + 22);
  odd.set([...MAC, ...PEER_MAC, EXPERIMENTAL >> 8, EXPERIMENTAL & 0xff]);
  assert.equal(deliver(odd, F_PARTIAL).status, RECV.CSUM);
  assert.equal(deliver(odd, F_REPAIR).status, RECV.OK);
  const larger = new Uint8Array(MTU + 23);
  larger.set(odd);
  assert.equal(deliver(larger, F_REPAIR).status, RECV.CSUM);
});

test('frames cut anywhere, and every byte of their headers changed, are written or refused but never harm', () => {
  const whole = frame(40, 'partial');
  const known = new Set<number>(Object.values(RECV));
  for (const flags of [F_PARTIAL, F_REPAIR]) {
    for (let n = 0; n <= whole.length; n++) {
      put(0, whole.subarray(0, n), flags);
      receiver.writeTap(tap.fd, 1, MTU);
      assert.ok(known.has(statusOf(0)), `${n} bytes`);
    }
    for (let at = 12; at < 42; at++)
      for (const value of [0, 1, 0x0f, 0x45, 0x60, 0x7f, 0x80, 0xff]) {
        const bent = whole.slice();
        bent[at] = value;
        put(0, bent, flags);
        receiver.writeTap(tap.fd, 1, MTU);
        assert.ok(known.has(statusOf(0)), `byte ${at} = ${value}`);
      }
  }
});

test('an IPv6 packet whose extension headers lead past its end is no packet to repair', () => {
  const size = 65500;
  const bytes = new Uint8Array(14 + size);
  bytes.set([...MAC, ...PEER_MAC, 0x86, 0xdd, 0x60, 0, 0, 0, (size - 40) >> 8, (size - 40) & 0xff, 60, 64]);
  let at = 14 + 40;
  while (at + 2048 < bytes.length) {
    bytes.set([60, 255], at);
    at += 2048;
  }
  bytes.set([17, 255], at);
  assert.equal(deliver(bytes, F_PARTIAL).status, RECV.CSUM);
});

test('a TAP that is down, removed or no TAP has a status of its own', () => {
  const other = openTap('t2');
  assert.equal(deliver(frame(1, 'whole'), 0, other.fd).status, RECV.TAP_DOWN);
  configureInterface('t2', { up: true });
  assert.equal(deliver(frame(1, 'whole'), 0, other.fd).status, RECV.OK);
  execFileSync('ip', ['link', 'delete', 't2']);
  assert.equal(deliver(frame(1, 'whole'), 0, other.fd).status, RECV.TAP_DOWN);
  const transmitter = new Transmitter(createFrameBatch(1), { maxTunnels: 1, sockets: [service.fd] });
  const EBADFD = 77;
  assert.equal(transmitter.readTap(other.fd), -EBADFD);
  closeFd(other.fd);
  assert.ok(transmitter.readTap(-1) < 0);
  assert.equal(deliver(frame(1, 'whole'), 0, -1).status, RECV.TAP_ERROR);
});

test('a frame that is put into the TAP by itself arrives, and a piece of memory beyond its bytes is refused', () => {
  const whole = frame(100, 'whole');
  const around = new Uint8Array(whole.length + 20);
  around.set(whole, 7);
  assert.equal(injectFrame(tap.fd, around, 7, whole.length), 0);
  assert.notEqual(arrived.wait(500), 0);
  assert.equal(reader.receivePlain(service.fd, 0), 1);
  assert.equal(inbox.desc[D.LEN], 100);
  for (const [offset, length] of [
    [8, around.length],
    [-1, 60],
    [0, 13],
    [around.length, 14],
    [2 ** 40, 60],
  ] as const)
    assert.equal(injectFrame(tap.fd, around, offset, length), constants.errno.EINVAL);
  assert.equal(injectFrame(-1, around, 7, whole.length), constants.errno.EBADF);
});

test('a datagram above the MTU is refused in either family, not cut, and a run goes out as its datagrams', () => {
  configureInterface('lo', { mtu: 1400 });
  for (const [address, headers] of [
    ['127.0.0.1', 28],
    ['::1', 48],
  ] as const) {
    const to = openUdp({ address, port: 0 });
    const from = openUdp({ address, port: 0 });
    const wait = new WaitSet([to.fd]);
    const most = 1400 - headers;
    assert.equal(sendDatagram(from.fd, new Uint8Array(most + 1), address, to.port), constants.errno.EMSGSIZE);
    // EINVAL before Linux 6.13.
    assert.notEqual(sendRun(from.fd, new Uint8Array(2 * most + 2), address, to.port, most + 1), 0);
    assert.equal(sendDatagram(from.fd, new Uint8Array(most), address, to.port), 0);
    assert.equal(sendRun(from.fd, new Uint8Array(2 * most), address, to.port, most), 0);
    assert.equal(sendRun(from.fd, new Uint8Array(100), address, to.port, 0), constants.errno.EINVAL);
    assert.notEqual(wait.wait(500), 0);
    const n = reader.receivePlain(to.fd, 0);
    const sizes = Array.from({ length: n }, (_, i) => inbox.desc[i * DESC_STRIDE + D.LEN]!);
    assert.deepEqual(sizes, [most, most, most]);
    closeFd(to.fd);
    closeFd(from.fd);
  }
});

test('the example of the README carries frames: sealed to itself, they come back to its TAP', async () => {
  const library = import.meta.resolve('tun-tap');
  const readme = readFileSync(new URL('../README.md', library), 'utf8');
  const example = /```ts\n([^`]*)```/.exec(readme)?.[1] ?? '';
  const options = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ES2022 };
  const compiled = ts.transpileModule(example, { compilerOptions: options }).outputText;
  const folder = mkdtempSync(join(tmpdir(), 'tun-tap-'));
  const file = join(folder, 'example.mjs');
  writeFileSync(
    file,
    `${compiled.replace("'tun-tap'", `'${library}'`)}
    const keys = new Uint8Array(16 * 32).fill(7);
    tunnel('127.0.0.1', 6000, keys.slice(0, 32), keys);`,
  );
  const worker = new Worker(pathToFileURL(file));
  const failed = new Promise<never>((_, reject) => worker.once('error', reject));
  const mark = 0x77;
  const sent = new Uint8Array(60).fill(mark);
  sent.set([...PEER_MAC, ...MAC, EXPERIMENTAL >> 8, EXPERIMENTAL & 0xff]);
  const comesBack = async (): Promise<void> => {
    const frames = createFrameBatch(64);
    let packets = -1;
    for (let tries = 0; tries < 200; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 25));
      try {
        if (packets < 0) packets = openPacketSocket('tap0');
      } catch {
        continue; // not there yet
      }
      sendPacket(packets, sent);
      const n = receivePackets(packets, frames);
      for (let i = 0; i < n; i++) {
        const d = frames.desc.subarray(i * DESC_STRIDE, (i + 1) * DESC_STRIDE);
        const bytes = frames.bytes.subarray(d[D.OFF]!, d[D.OFF]! + d[D.LEN]!);
        const PACKET_OUTGOING = 4;
        if (d[D.KIND] !== PACKET_OUTGOING && bytes[59] === mark) return closeFd(packets);
      }
    }
    throw new Error('no frame came back');
  };
  try {
    await Promise.race([comesBack(), failed]);
  } finally {
    await worker.terminate();
    rmSync(folder, { recursive: true });
  }
});
