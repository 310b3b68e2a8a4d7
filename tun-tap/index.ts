/**
 * Packet I/O for Node on Linux: TAP devices with virtio-net headers, batched UDP, batch AEAD with replay windows, one
 * wait over all of them, and raw sockets. C moves bytes, TypeScript decides: a call handles a whole batch, and between
 * two calls the caller looks at one descriptor per frame.
 *
 * Calls made at set-up time throw `Error` with `.code` an errno name. Calls made per batch never throw for what the
 * network or the kernel does, and allocate nothing: they return counts and leave a status in each descriptor.
 */

import type { FrameBatch } from './frame-batch.ts';
import { native } from './native-binding.ts';

export { OpeningKey, ReplayWindow, SealingKey, useIpsecMb } from './aead.ts';
export * from './frame-batch.ts';
export { type JoinedFrame, joinFrames, splitFrame, type VnetHeader } from './offload.ts';
export { KIND, RECV, Receiver, type ReceiveSession, WRITE } from './receiver.ts';
export { E, E_STRIDE, SEND, type SealedTunnel, Transmitter } from './transmitter.ts';
export { AHEAD, type ReadAhead, WaitSet } from './wait-set.ts';

/** What a TAP is opened with. */
export interface TapOptions {
  /** IFF_MULTI_QUEUE: further opens of the same name add queues. */
  readonly multiQueue?: boolean;
  /**
   * What the stack may leave undone in the frames it hands over: TUN_F bits. TSO and USO need CSUM. The kernel may know
   * fewer; what it took is in the answer. Default none.
   */
  readonly offloads?: number;
}

/** linux/if_tun.h: unfinished checksums; TCP super-frames, with ECN; UDP super-frames (Linux 6.2). */
export const TUN_F = { CSUM: 1, TSO4: 2, TSO6: 4, TSO_ECN: 8, USO4: 0x20, USO6: 0x40 } as const;
export const TUN_F_TSO = TUN_F.TSO4 | TUN_F.TSO6 | TUN_F.TSO_ECN;
export const TUN_F_USO = TUN_F.USO4 | TUN_F.USO6;

/**
 * Opens `name` as a TAP (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR), non-blocking, making it if it does not exist. A TAP made
 * here goes when its last descriptor closes.
 * @throws Error ENOENT no /dev/net/tun; EPERM; EBUSY taken; EINVAL the name is another kind of interface
 */
export function openTap(
  name: string,
  options: TapOptions = {},
): { readonly fd: number; readonly name: string; readonly offloads: number } {
  return native.openTap(name, Number(options.multiQueue ?? false), options.offloads ?? 0);
}

/** Writes a TCP super-frame to nobody. 0, or the errno of a kernel that refuses it. The interface must be up. */
export const probeSuperFrame = (fd: number): number => native.probeSuperFrame(fd);

/** Writes one plain Ethernet frame of `bytes` into a TAP, as if it had come from outside. Returns 0 or an errno. */
export const injectFrame = (fd: number, bytes: Uint8Array, offset: number, length: number): number =>
  native.injectFrame(fd, bytes, offset, length);

/**
 * Two ends of a wire inside this process. To Transmitter, Receiver and `injectFrame` an end is like a TAP: what is written
 * into the one is read from the other.
 * @throws Error EMFILE
 */
export function openPair(): readonly [number, number] {
  const ends = new Int32Array(2);
  const errno = native.openPair(ends);
  if (errno !== 0) throw new Error(`socketpair: errno ${errno}`);
  return [ends[0] ?? -1, ends[1] ?? -1];
}

/** Lets frames come to one queue of a multi-queue TAP, or keeps them away from it. 0 or an errno. */
export const setTapQueue = (fd: number, on: boolean): number => native.setTapQueue(fd, Number(on));

/** Sets hardware address (6 bytes), MTU in bytes and the up flag, in this order, each if given. */
export function configureInterface(
  name: string,
  settings: { readonly mac?: Uint8Array; readonly mtu?: number; readonly up?: boolean },
): void {
  if (settings.mac !== undefined) native.setMac(name, settings.mac);
  if (settings.mtu !== undefined) native.setMtu(name, settings.mtu);
  if (settings.up === true) native.setUp(name);
}

/** Kernel index, MTU in bytes, 6-byte hardware address of an interface. Throw ENODEV for an unknown one. */
export const interfaceIndex = (name: string): number => native.interfaceIndex(name);
export const interfaceMtu = (name: string): number => native.interfaceMtu(name);
export const interfaceMac = (name: string): Uint8Array => native.interfaceMac(name);

export interface UdpOptions {
  /** IP literal to bind; `::` is dual-stack. */
  readonly address: string;
  /** 0 lets the kernel choose. */
  readonly port: number;
  readonly reusePort?: boolean;
  readonly receiveBufferBytes?: number;
  readonly sendBufferBytes?: number;
  /** Never receives: least buffer and a filter that drops all. */
  readonly sendOnly?: boolean;
  /** UDP_GRO: the kernel may hand over neighbours of a flow as one message. */
  readonly join?: boolean;
}

export interface UdpSocket {
  readonly fd: number;
  readonly port: number;
  /** What the kernel granted. */
  readonly receiveBufferBytes: number;
  readonly sendBufferBytes: number;
  /** The kernel knows UDP_SEGMENT. */
  readonly segments: boolean;
  /** UDP_GRO is on. */
  readonly joins: boolean;
}

const DEFAULT_BUFFER_BYTES = 8 << 20;

/**
 * Opens an unconnected, non-blocking UDP socket: DF set, the kernel's path-MTU cache ignored (IP_PMTUDISC_PROBE).
 * @throws Error EADDRINUSE, EADDRNOTAVAIL, EINVAL for an address that is no IP literal
 */
export function openUdp(options: UdpOptions): UdpSocket {
  const { segments, joins, ...socket } = native.openUdp(
    options.address,
    options.port,
    Number(options.reusePort ?? false),
    options.receiveBufferBytes ?? DEFAULT_BUFFER_BYTES,
    options.sendBufferBytes ?? DEFAULT_BUFFER_BYTES,
    Number(options.sendOnly ?? false),
    Number(options.join ?? false),
  );
  return { ...socket, segments: segments === 1, joins: joins === 1 };
}

/**
 * Deals sealed datagrams out among `sockets` sockets that share a port (SO_REUSEPORT), in the order of their binding, by
 * lane; all others go to the first. 0 or an errno.
 */
export const steerByLane = (fd: number, sockets: number): number => native.steerByLane(fd, sockets);

/** Sends one datagram; for control traffic. Returns 0 or an errno. */
export const sendDatagram = (fd: number, bytes: Uint8Array, ip: string, port: number): number =>
  native.sendDatagram(fd, bytes, ip, port);

/** Sends `bytes` as datagrams of `datagramBytes` each, by one UDP_SEGMENT message, as data leaves. Returns 0 or an errno. */
export const sendRun = (
  fd: number,
  bytes: Uint8Array,
  ip: string,
  port: number,
  datagramBytes: number,
): number => native.sendRun(fd, bytes, ip, port, datagramBytes);

/** Datagrams that the kernel dropped at this socket since it was opened, those of a filter included. */
export const socketDrops = (fd: number): number => native.socketDrops(fd);

/** The source address that the kernel would use towards `ip`; null without a route. Sends nothing. */
export const localAddressFor = (ip: string): string | null => native.localAddressFor(ip);

/**
 * Sends one datagram to a UNIX socket: an absolute path, or `@name` in the abstract namespace; never waits. 0 or an errno,
 * EINVAL for a name of another form. sd_notify(3) is made of this.
 */
export const sendUnixDatagram = (name: string, bytes: Uint8Array): number =>
  native.sendUnixDatagram(name, bytes);

/** Who made a connection over a UNIX socket, as the kernel saw it then (SO_PEERCRED, SO_PEERGROUPS). */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  /** The effective group first, then the supplementary ones. */
  readonly gids: readonly number[];
}

/** @throws Error ENOTSOCK, EBADF */
export function peerCredentials(fd: number): PeerCredentials {
  const [pid = 0, uid = 0, ...gids] = native.peerCredentials(fd);
  return { pid, uid, gids };
}

/**
 * Keeps the capabilities whose bit is set in `keep` (bit n: capability n of linux/capability.h) and gives up all others, in every
 * thread: effective, permitted, inheritable, ambient, and the bounding set where the process may. No program that it runs gains
 * any (no_new_privs), no core is written of it and nobody of the same user may look into it. For good. 0 or an errno.
 */
export const confine = (keep: number): number => native.confine(keep);

/** Whether the kernel would write a core of this process. */
export const isDumpable = (): boolean => native.isDumpable() === 1;

export const closeFd = (fd: number): void => native.closeFd(fd);

/** An eventfd: any thread may signal it to end another thread's wait. */
export const createEventFd = (): number => native.createEventFd();
export const signalEventFd = (fd: number): number => native.signalEventFd(fd);

/** Writes CLOCK_MONOTONIC in milliseconds to `into[0]`; a returned number would be a heap object per call. */
export const readClock = (into: Float64Array): void => native.readClock(into);

/** An AF_PACKET socket on one interface: every frame in and out (KIND 4 = outgoing). */
export const openPacketSocket = (name: string): number => native.openPacketSocket(name);
/** Sends one whole Ethernet frame. Returns 0 or an errno. */
export const sendPacket = (fd: number, frame: Uint8Array): number => native.sendPacket(fd, frame);
/** Drains the socket into `batch`; returns the number of frames. */
export const receivePackets = (fd: number, batch: FrameBatch): number => native.receivePackets(fd, batch);

/** A raw ICMP socket. v4 receives with the IP header in front (raw(7)), v6 without (RFC 3542). */
export const openIcmp = (family: 4 | 6): number => native.openIcmp(family);
export const sendIcmp = (fd: number, bytes: Uint8Array, ip: string): number => native.sendIcmp(fd, bytes, ip);
export const receiveIcmp = (fd: number, batch: FrameBatch): number => native.receiveIcmp(fd, batch);
