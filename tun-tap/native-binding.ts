/**
 * Loads the compiled addon and types what it exports. The only file that touches a `.node`; index.ts gives its functions
 * their public shape.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface NativeWaitSet {
  wait(timeoutMs: number): number;
  readAhead(
    clock: Float64Array,
    ahead: Int32Array,
    transmitter: NativeTransmitter | null,
    tapAt: number,
    receiver: NativeReceiver | null,
    sealedAt: number,
  ): void;
}

export interface NativeTransmitter {
  setSealed(
    tunnel: number,
    index: number,
    suite: number,
    inner: number,
    key: Uint8Array,
    flags: number,
  ): void;
  setPlain(tunnel: number): void;
  setEndpoint(tunnel: number, ip: string, port: number): void;
  divert(tunnel: number, words: Int32Array, at: number): void;
  clear(tunnel: number): void;
  readTap(fd: number): number;
  segmenting(enable: number): number;
  send(entries: Int32Array, count: number): void;
}

export interface NativeReceiver {
  install(
    index: number,
    suite: number,
    inner: number,
    laneKeys: Uint8Array,
    lanes: number,
    tunnel: number,
  ): void;
  remove(index: number): void;
  receiveSealed(fd: number): number;
  receivePlain(fd: number, geneve: number): number;
  setJoining(on: number): void;
  joiningRefused(): number;
  writeTap(fd: number, count: number, mtu: number): number;
  copyOut(frame: number, into: Uint8Array, at: number, max: number): number;
}

interface NativeSealingKey {
  seal(counter: number, aad: Uint8Array, plaintext: Uint8Array): Uint8Array;
  destroy(): void;
}

interface NativeOpeningKey {
  open(counter: number, aad: Uint8Array, sealed: Uint8Array): Uint8Array | null;
  destroy(): void;
}

interface NativeBatch {
  readonly capacity: number;
  readonly frames: number;
  readonly bytes: Uint8Array;
  readonly desc: Int32Array;
  readonly from: Int32Array;
}

interface NativeBinding {
  openTap(
    name: string,
    multiQueue: number,
    offloads: number,
  ): { readonly fd: number; readonly name: string; readonly offloads: number };
  probeSuperFrame(fd: number): number;
  setTapQueue(fd: number, on: number): number;
  steerByLane(fd: number, sockets: number): number;
  setMac(name: string, mac: Uint8Array): void;
  setMtu(name: string, bytes: number): void;
  setUp(name: string): void;
  interfaceIndex(name: string): number;
  interfaceMtu(name: string): number;
  interfaceMac(name: string): Uint8Array;
  openUdp(
    address: string,
    port: number,
    reusePort: number,
    receiveBytes: number,
    sendBytes: number,
    sendOnly: number,
    joined: number,
  ): {
    readonly fd: number;
    readonly port: number;
    readonly receiveBufferBytes: number;
    readonly sendBufferBytes: number;
    readonly segments: number;
    readonly joins: number;
  };
  openPair(ends: Int32Array): number;
  injectFrame(fd: number, bytes: Uint8Array, offset: number, length: number): number;
  sendDatagram(fd: number, bytes: Uint8Array, ip: string, port: number): number;
  sendRun(fd: number, bytes: Uint8Array, ip: string, port: number, datagramBytes: number): number;
  socketDrops(fd: number): number;
  sendUnixDatagram(name: string, bytes: Uint8Array): number;
  peerCredentials(fd: number): Uint32Array;
  confine(keep: number): number;
  isDumpable(): number;
  localAddressFor(ip: string): string | null;
  closeFd(fd: number): void;
  createEventFd(): number;
  signalEventFd(fd: number): number;
  drainEventFd(fd: number): number;
  readClock(into: Float64Array): void;
  splitFrame(
    frame: Uint8Array,
    flags: number,
    gsoType: number,
    gsoSize: number,
    csum: number,
    maxPacketBytes: number,
    complete: number,
    into: Uint8Array,
  ): number;
  joinFrames(list: Uint8Array, into: Uint8Array): number;
  openPacketSocket(name: string): number;
  sendPacket(fd: number, frame: Uint8Array): number;
  receivePackets(fd: number, batch: NativeBatch): number;
  openIcmp(family: number): number;
  sendIcmp(fd: number, bytes: Uint8Array, ip: string): number;
  receiveIcmp(fd: number, batch: NativeBatch): number;
  readonly WaitSet: new (fds: Int32Array) => NativeWaitSet;
  readonly Transmitter: new (
    batch: NativeBatch,
    counters: Float64Array,
    sockets: Int32Array,
    limits: Int32Array,
    singly: Int32Array,
  ) => NativeTransmitter;
  readonly Receiver: new (
    batch: NativeBatch,
    maxSessions: number,
    worker: number,
    workers: number,
  ) => NativeReceiver;
  useIpsecMb(allowed: number): { readonly version?: string; readonly missing?: string };
  readonly SealingKey: new (suite: number, key: Uint8Array) => NativeSealingKey;
  readonly OpeningKey: new (suite: number, key: Uint8Array) => NativeOpeningKey;
}

const variant = process.env.TUN_TAP_BUILD === 'sanitize' ? 'tun-tap-sanitize.node' : 'tun-tap.node';
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const file = join(root, 'build', `${process.platform}-${process.arch}`, variant);

function load(): NativeBinding {
  try {
    return createRequire(import.meta.url)(file) as NativeBinding;
  } catch (error) {
    throw new Error(`tun-tap: cannot load ${file}; build it with: node tun-tap/build.mjs`, { cause: error });
  }
}

export const native = load();
