/** Ethernet frames and tunnel packets as bytes, and the helper that puts them on a wire. For the namespace tests. */
import { nodeCommand } from '../../agent/lab/command.ts';
import { Probe } from '../../agent/lab/probe-client.ts';
import type { Answers, DatagramsToSend, FramesToSend } from './frame-sender.ts';

const SENDER = nodeCommand('./frame-sender.ts', import.meta.url);

export const BROADCAST = 'ff:ff:ff:ff:ff:ff';
/** Local experimental ethertype (IEEE 802): nobody answers it. */
export const EXPERIMENTAL = 0x88b5;

/** Sends frames and datagrams from inside a namespace. */
export class FrameSender {
  readonly #probe: Probe;

  constructor(namespace: string) {
    this.#probe = Probe.start(namespace, SENDER);
  }

  async frames(options: FramesToSend): Promise<void> {
    const sent = await this.#probe.ask<number>('sendFrames', options);
    if (sent !== options.frames.length) throw new Error(`${sent} of ${options.frames.length} frames sent`);
  }

  datagrams(options: DatagramsToSend): Promise<Answers> {
    return this.#probe.ask<Answers>('sendDatagrams', options);
  }

  stop(): Promise<void> {
    return this.#probe.stop();
  }
}

export function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}

/** 802.1Q or 802.1ad tag. */
export interface Tag {
  readonly tpid: number;
  readonly tci: number;
}

/** A frame of exactly `size` bytes with a payload that differs at every place. */
export function frame(options: {
  readonly to: string;
  readonly from: string;
  readonly type?: number;
  readonly tags?: readonly Tag[];
  readonly size: number;
  readonly seed?: number;
}): Buffer {
  const { to, from, type = EXPERIMENTAL, tags = [], size, seed = 1 } = options;
  const bytes = Buffer.alloc(size);
  macBytes(to).copy(bytes, 0);
  macBytes(from).copy(bytes, 6);
  let at = 12;
  for (const { tpid, tci } of tags) {
    at = bytes.writeUInt16BE(tpid, at);
    at = bytes.writeUInt16BE(tci, at);
  }
  at = bytes.writeUInt16BE(type, at);
  for (let i = at; i < size; i++) bytes[i] = (i * 31 + seed * 17 + (i >> 8)) & 0xff;
  return bytes;
}

/** RFC 7348: flags with the I bit, 24 reserved, VNI, 8 reserved; then the inner frame. */
export function vxlan(vni: number, inner: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header[0] = 0x08;
  header.writeUIntBE(vni, 4, 3);
  return Buffer.concat([header, inner]);
}

/** RFC 8926 without options: version and length 0, Trans Ether Bridging, VNI; then the inner frame. */
export function geneve(vni: number, inner: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(0x6558, 2);
  header.writeUIntBE(vni, 4, 3);
  return Buffer.concat([header, inner]);
}

/** Those of `packets` that come from a MAC address, as hex in a stable order. */
export function framesFrom(packets: readonly Buffer[], mac: string): string[] {
  return packets
    .filter((packet) => packet.subarray(6, 12).equals(macBytes(mac)))
    .map((packet) => packet.toString('hex'))
    .sort();
}
