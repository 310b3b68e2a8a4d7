/**
 * Ethernet frames out of a capture file: classic pcap (either byte order, microseconds or nanoseconds) and the packet blocks of
 * pcapng (draft-ietf-opsawg-pcapng §4.3). Called by `weft trace`. Reads only what it needs; a file that breaks off ends there.
 */
import { readFileSync, statSync } from 'node:fs';
import { WeftError } from '../../errors.ts';

export interface CapturedFrame {
  readonly bytes: Uint8Array;
  /** Of the frame on the wire: more than `bytes` when it was cut. */
  readonly sizeBytes: number;
}

const MAX_FILE_BYTES = 67_108_864;
const LINK_ETHERNET = 1;
const PCAP_MAGIC = [0xa1b2c3d4, 0xa1b23c4d];
const PCAPNG_MAGIC = 0x0a0d0d0a;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const BLOCK = { interface: 1, simple: 3, enhanced: 6 } as const;

/** Whether a word on the command line is a file rather than the beginning of a frame. */
export const looksLikeFile = (word: string): boolean => /[./]|^-$/.test(word) && !/^[\d.]+$/.test(word);

/** At most `limit` frames. @throws WeftError E_CONFIG when it is no capture of Ethernet */
export function framesOfFile(path: string, limit: number): readonly CapturedFrame[] {
  return framesOfCapture(read(path), path, limit);
}

function read(path: string): Buffer {
  try {
    if (statSync(path).size > MAX_FILE_BYTES)
      throw new WeftError('E_CONFIG', `${path} is larger than 64 MiB: cut it with editcap`);
    return readFileSync(path);
  } catch (cause) {
    if (cause instanceof WeftError) throw cause;
    const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new WeftError('E_CONFIG', `capture file ${path} cannot be read (${reason})`, { cause });
  }
}

export function framesOfCapture(file: Buffer, name: string, limit: number): readonly CapturedFrame[] {
  if (file.length >= 28 && file.readUInt32LE(0) === PCAPNG_MAGIC) return pcapng(file, name, limit);
  const little = file.length >= 24 && PCAP_MAGIC.includes(file.readUInt32LE(0));
  if (!little && !(file.length >= 24 && PCAP_MAGIC.includes(file.readUInt32BE(0))))
    throw new WeftError('E_CONFIG', `${name} is no pcap or pcapng file`);
  const u32 = (at: number): number => (little ? file.readUInt32LE(at) : file.readUInt32BE(at));
  if ((u32(20) & 0xffff) !== LINK_ETHERNET) throw notEthernet(name);
  const frames: CapturedFrame[] = []; // bounded by `limit`
  for (let at = 24; at + 16 <= file.length && frames.length < limit; ) {
    const captured = u32(at + 8);
    if (at + 16 + captured > file.length) break;
    frames.push({ bytes: file.subarray(at + 16, at + 16 + captured), sizeBytes: u32(at + 12) });
    at += 16 + captured;
  }
  return frames;
}

const notEthernet = (name: string): WeftError =>
  new WeftError('E_CONFIG', `${name} is a capture, but not of Ethernet frames`);

function pcapng(file: Buffer, name: string, limit: number): readonly CapturedFrame[] {
  const frames: CapturedFrame[] = []; // bounded by `limit`
  /** Interfaces of the section that are Ethernet; bounded by the blocks of the file. */
  let ethernet: boolean[] = [];
  let others = 0;
  let little = true;
  const u32 = (at: number): number => (little ? file.readUInt32LE(at) : file.readUInt32BE(at));
  for (let at = 0; at + 12 <= file.length && frames.length < limit; ) {
    if (file.readUInt32LE(at) === PCAPNG_MAGIC) {
      little = file.readUInt32LE(at + 8) === BYTE_ORDER_MAGIC;
      ethernet = [];
    }
    const type = u32(at);
    const length = u32(at + 4);
    if (length < 12 || at + length > file.length) break;
    if (type === BLOCK.interface && length >= 20) {
      const link = little ? file.readUInt16LE(at + 8) : file.readUInt16BE(at + 8);
      ethernet.push(link === LINK_ETHERNET);
    }
    const header = type === BLOCK.enhanced ? 28 : type === BLOCK.simple ? 12 : 0;
    if (header > 0 && length >= header + 4) {
      const sizeBytes = u32(at + header - 4);
      const room = length - header - 4;
      const captured = type === BLOCK.enhanced ? u32(at + 20) : Math.min(sizeBytes, room);
      if (ethernet[type === BLOCK.enhanced ? u32(at + 8) : 0] !== true) others++;
      else if (captured <= room)
        frames.push({ bytes: file.subarray(at + header, at + header + captured), sizeBytes });
    }
    at += length;
  }
  if (frames.length === 0 && others > 0) throw notEthernet(name);
  return frames;
}
