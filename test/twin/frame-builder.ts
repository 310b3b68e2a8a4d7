/**
 * Builds TCP and UDP frames of any shape from a description, lengths and checksums by the RFCs. Used by frame-maker.ts,
 * which draws the descriptions, and by tests that need one certain frame.
 */
import { complement, pseudoSum, sum16, writeU16, writeU32 } from './checksum-twin.ts';
import { TCP, UDP } from './packet-twin.ts';

/** `partial`: the field holds only the pseudo-header's sum. */
export type ChecksumKind = 'whole' | 'partial' | 'wrong' | 'zero';

export interface FrameShape {
  readonly version: 4 | 6;
  readonly protocol: number;
  /** At most three, of which a parser has to follow two. */
  readonly tags: readonly { readonly tpid: number; readonly tci: number }[];
  readonly macSeed: number;
  /** 4 bytes or 16. */
  readonly source: Uint8Array;
  readonly target: Uint8Array;
  /** Type of service or traffic class, ECN included. */
  readonly tos: number;
  /** TTL or hop limit. */
  readonly ttl: number;
  readonly flowLabel: number;
  readonly id: number;
  /** IPv4: the 16 bits of reserved, DF, MF and offset. */
  readonly fragmentField: number;
  /** IPv4: a multiple of 4 bytes, at most 40. */
  readonly ipOptions: Uint8Array;
  /** IPv6: kinds of extension headers in order; 44 is a fragment header. */
  readonly extensions: readonly { readonly kind: number; readonly units: number; readonly offset: number }[];
  readonly sourcePort: number;
  readonly targetPort: number;
  readonly seq: number;
  readonly ack: number;
  readonly window: number;
  readonly flags: number;
  /** The four bits before the flags. */
  readonly reserved: number;
  readonly urgent: number;
  /** A multiple of 4 bytes, at most 40. */
  readonly tcpOptions: Uint8Array;
  readonly payloadBytes: number;
  readonly payloadSeed: number;
  readonly checksum: ChecksumKind;
  readonly badIpChecksum: boolean;
  /** UDP: added to the length field. */
  readonly lengthError: number;
  /** Bytes behind the IP packet. */
  readonly padding: number;
}

export const PLAIN: FrameShape = {
  version: 4,
  protocol: TCP,
  tags: [],
  macSeed: 1,
  source: Uint8Array.of(10, 0, 0, 1),
  target: Uint8Array.of(10, 0, 0, 2),
  tos: 0,
  ttl: 64,
  flowLabel: 0,
  id: 1,
  fragmentField: 0x4000,
  ipOptions: new Uint8Array(0),
  extensions: [],
  sourcePort: 40000,
  targetPort: 5201,
  seq: 1000,
  ack: 2000,
  window: 502,
  flags: 0x10,
  reserved: 0,
  urgent: 0,
  tcpOptions: new Uint8Array(0),
  payloadBytes: 100,
  payloadSeed: 7,
  checksum: 'whole',
  badIpChecksum: false,
  lengthError: 0,
  padding: 0,
};

/** Bytes that differ at every place and with every seed (a linear congruential generator, Numerical Recipes). */
export function fill(bytes: Uint8Array, seed: number): Uint8Array {
  let state = seed >>> 0;
  for (let i = 0; i < bytes.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

export function buildFrame(shape: FrameShape): Uint8Array {
  const l4 = shape.protocol === TCP ? tcp(shape) : udp(shape);
  l4Checksum(l4, shape);
  const packet = shape.version === 4 ? ipv4(shape, l4) : ipv6(shape, l4);
  const type = shape.version === 4 ? 0x0800 : 0x86dd;
  const ethernet = new Uint8Array(14 + shape.tags.length * 4);
  fill(ethernet.subarray(0, 12), shape.macSeed);
  // Neither group nor globally unique.
  for (const at of [0, 6]) ethernet[at] = (ethernet[at]! & 0xfc) | 2;
  shape.tags.forEach(({ tpid, tci }, i) => {
    writeU16(ethernet, 12 + i * 4, tpid);
    writeU16(ethernet, 14 + i * 4, tci);
  });
  writeU16(ethernet, ethernet.length - 2, type);
  const padding = fill(new Uint8Array(shape.padding), 99);
  return Uint8Array.from(Buffer.concat([ethernet, packet, padding]));
}

function tcp(shape: FrameShape): Uint8Array {
  const headerBytes = 20 + shape.tcpOptions.length;
  const out = new Uint8Array(headerBytes + shape.payloadBytes);
  writeU16(out, 0, shape.sourcePort);
  writeU16(out, 2, shape.targetPort);
  writeU32(out, 4, shape.seq);
  writeU32(out, 8, shape.ack);
  out[12] = (headerBytes / 4) * 16 + shape.reserved;
  out[13] = shape.flags;
  writeU16(out, 14, shape.window);
  writeU16(out, 18, shape.urgent);
  out.set(shape.tcpOptions, 20);
  fill(out.subarray(headerBytes), shape.payloadSeed);
  return out;
}

function udp(shape: FrameShape): Uint8Array {
  const out = new Uint8Array(8 + shape.payloadBytes);
  writeU16(out, 0, shape.sourcePort);
  writeU16(out, 2, shape.targetPort);
  writeU16(out, 4, out.length + shape.lengthError);
  fill(out.subarray(8), shape.payloadSeed);
  return out;
}

function l4Checksum(l4: Uint8Array, shape: FrameShape): void {
  const addresses = Uint8Array.from([...shape.source, ...shape.target]);
  const pseudo = pseudoSum(addresses, shape.protocol, l4.length);
  const at = shape.protocol === TCP ? 16 : 6;
  const computed = complement(sum16(l4, pseudo));
  const whole = computed === 0 && shape.protocol === UDP ? 0xffff : computed;
  writeU16(l4, at, { whole, partial: pseudo, wrong: whole ^ 0x1234, zero: 0 }[shape.checksum]);
}

function ipv4(shape: FrameShape, l4: Uint8Array): Uint8Array {
  const headerBytes = 20 + shape.ipOptions.length;
  const out = new Uint8Array(headerBytes + l4.length);
  out[0] = 0x40 + headerBytes / 4;
  out[1] = shape.tos;
  writeU16(out, 2, out.length);
  writeU16(out, 4, shape.id);
  writeU16(out, 6, shape.fragmentField);
  out[8] = shape.ttl;
  out[9] = shape.protocol;
  out.set(shape.source, 12);
  out.set(shape.target, 16);
  out.set(shape.ipOptions, 20);
  writeU16(out, 10, complement(sum16(out.subarray(0, headerBytes))) ^ (shape.badIpChecksum ? 0x0101 : 0));
  out.set(l4, headerBytes);
  return out;
}

function ipv6(shape: FrameShape, l4: Uint8Array): Uint8Array {
  const { extensions } = shape;
  const chain = extensions.map(({ kind, units, offset }, i) => {
    const isFragment = kind === 44;
    const header = new Uint8Array(isFragment ? 8 : 8 + units * 8);
    header[0] = extensions[i + 1]?.kind ?? shape.protocol;
    if (isFragment) writeU16(header, 2, offset * 8 + 1);
    else header[1] = units;
    // One PadN option over the rest (RFC 8200 §4.2); in a routing header, type 4 with no segments left.
    if (!isFragment) header.set([kind === 43 ? 4 : 1, kind === 43 ? 0 : units * 8 + 4], 2);
    return header;
  });
  const body = Buffer.concat([...chain, l4]);
  const out = new Uint8Array(40 + body.length);
  writeU32(out, 0, 0x60000000 + shape.tos * 2 ** 20 + shape.flowLabel);
  writeU16(out, 4, body.length);
  out[6] = extensions[0]?.kind ?? shape.protocol;
  out[7] = shape.ttl;
  out.set(shape.source, 8);
  out.set(shape.target, 24);
  out.set(body, 40);
  return out;
}
