/** Inner Ethernet frames made by hand, and their checksums reckoned the slow way. For the tests of what answers or changes them. */

export interface FrameOptions {
  readonly tags?: number;
  readonly payload?: number;
  readonly protocol?: number;
  readonly dontFragment?: boolean;
  readonly fragmentOffset?: number;
  readonly moreFragments?: boolean;
  readonly from?: string;
  readonly to?: string;
  /** First bytes of the transport header. */
  readonly transport?: readonly number[];
}

export const SOURCE_MAC = [2, 0, 0, 0, 0, 1];
export const TARGET_MAC = [2, 0, 0, 0, 0, 2];
export const IP4 = { from: [10, 80, 0, 1], to: [10, 80, 0, 2] };
export const IP6 = {
  from: [0xfd, 0, ...new Array<number>(13).fill(0), 1],
  to: [0xfd, 0, ...new Array<number>(13).fill(0), 2],
};

/** RFC 1071 over bytes, with a sum to start from. */
export function sumOf(bytes: Iterable<number>, start = 0): number {
  let sum = start;
  let high = true;
  for (const byte of bytes) {
    sum += high ? byte << 8 : byte;
    high = !high;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

export const checksumOf = (bytes: Iterable<number>, start = 0): number => ~sumOf(bytes, start) & 0xffff;

function ethernet(type: number, tags: number): number[] {
  const header = [...TARGET_MAC, ...SOURCE_MAC];
  for (let i = 0; i < tags; i++) header.push(i + 1 < tags ? 0x88 : 0x81, i + 1 < tags ? 0xa8 : 0, 0, 7 + i);
  return [...header, type >> 8, type & 0xff];
}

const word = (value: number): number[] => [(value >> 8) & 0xff, value & 0xff];

export function ipv4Frame(
  body: readonly number[],
  options: FrameOptions & { readonly options?: number } = {},
): Uint8Array {
  const { tags = 0, protocol = 17, dontFragment = true, fragmentOffset = 0, moreFragments = false } = options;
  const words = 5 + (options.options ?? 0);
  const flags = (dontFragment ? 0x4000 : 0) | (moreFragments ? 0x2000 : 0) | fragmentOffset;
  const from = options.from?.split('.').map(Number) ?? IP4.from;
  const to = options.to?.split('.').map(Number) ?? IP4.to;
  const header = [
    0x40 | words,
    0,
    ...word(words * 4 + body.length),
    0x12,
    0x34,
    ...word(flags),
    64,
    protocol,
    0,
    0,
    ...from,
    ...to,
  ];
  for (let i = 20; i < words * 4; i++) header.push(1);
  header.splice(10, 2, ...word(checksumOf(header)));
  return Uint8Array.from([...ethernet(0x0800, tags), ...header, ...body]);
}

export function ipv6Frame(
  body: readonly number[],
  options: FrameOptions & {
    readonly extensions?: readonly number[];
    readonly source?: readonly number[];
    readonly target?: readonly number[];
  } = {},
): Uint8Array {
  const { tags = 0, protocol = 17, extensions = [] } = options;
  const header = [
    0x60,
    0,
    0,
    0,
    ...word(body.length + extensions.length),
    protocol,
    64,
    ...(options.source ?? IP6.from),
    ...(options.target ?? IP6.to),
  ];
  return Uint8Array.from([...ethernet(0x86dd, tags), ...header, ...extensions, ...body]);
}

/** Where the IP header of a frame stands. */
export function ipAt(frame: Uint8Array): number {
  let at = 12;
  while ((frame[at] === 0x81 && frame[at + 1] === 0) || (frame[at] === 0x88 && frame[at + 1] === 0xa8))
    at += 4;
  return at + 2;
}

/** Pseudo-header sum of a transport header of `length` bytes. */
export function pseudoOf(frame: Uint8Array, protocol: number, length: number): number {
  const ip = ipAt(frame);
  const addresses = frame[ip]! >> 4 === 4 ? frame.slice(ip + 12, ip + 20) : frame.slice(ip + 8, ip + 40);
  return sumOf(addresses, protocol + length);
}

/** A TCP header of these options (multiple of 4 bytes) and data, checksum zero. */
export function tcpBytes(flags: number, options: readonly number[], data: readonly number[] = []): number[] {
  const words = 5 + options.length / 4;
  return [
    ...word(40000),
    ...word(443),
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    words << 4,
    flags,
    0xff,
    0xff,
    0,
    0,
    0,
    0,
    ...options,
    ...data,
  ];
}

/** Finishes the TCP checksum of a frame whose TCP header stands at `tcp`. */
export function finishTcp(frame: Uint8Array, tcp: number): Uint8Array {
  const field = checksumOf(frame.slice(tcp), pseudoOf(frame, 6, frame.length - tcp));
  frame.set(word(field), tcp + 16);
  return frame;
}

export function tcpSumRight(frame: Uint8Array, tcp: number): boolean {
  return sumOf(frame.slice(tcp), pseudoOf(frame, 6, frame.length - tcp)) === 0xffff;
}

export const get16 = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;
