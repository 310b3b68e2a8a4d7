/**
 * The plaintext of lane 15, and the header of the sealed datagram around it. Called by session-key.ts and by the
 * sessions that read it. Never throws on input.
 *
 *    0      1      2             4
 *   +------+------+-------------+------------------ - - -
 *   | kind | 0    | body length | body, then zero padding
 *   +------+------+-------------+------------------ - - -
 *
 *   kind 0 keepalive    no body
 *        1 probe        u64 id
 *        2 probe-ack    u64 id | u16 size of the probe's datagram | 16 bytes IP, u16 port that the probe came from
 *        3 challenge    8 random bytes
 *        4 response     the same 8 bytes
 *        5 request      NodeRequest
 *        6 reply        what the admitter says
 *        7 relay        later
 */
import { type Endpoint, ipFromBytes, ipToBytes } from '../endpoint.ts';
import { viewOf } from './u64.ts';

export const CONTROL = {
  keepalive: 0,
  probe: 1,
  probeAck: 2,
  challenge: 3,
  response: 4,
  request: 5,
  reply: 6,
  relay: 7,
} as const;
export type ControlKind = (typeof CONTROL)[keyof typeof CONTROL];

export const CONTROL_LANE = 15;
export const SEALED_HEADER = 16;
const TAG = 16;
const HEADER = 4;
/** UDP payload of the smallest IPv6 path: 1280 - 40 - 8. */
const MAX_DATAGRAM = 1232;
export const MAX_CONTROL_BODY = MAX_DATAGRAM - SEALED_HEADER - TAG - HEADER;
/** Small messages all have this datagram size, which also keeps an answer from being larger than its question. */
export const SMALL_DATAGRAM = 64;
const SMALL_PLAINTEXT = SMALL_DATAGRAM - SEALED_HEADER - TAG;

/** Exact body size; null where it varies. */
const BODY_BYTES: Readonly<Record<ControlKind, number | null>> = {
  0: 0,
  1: 8,
  2: 28,
  3: 8,
  4: 8,
  5: null,
  6: null,
  7: null,
};

export interface ControlMessage {
  readonly kind: ControlKind;
  readonly body: Uint8Array;
}

const isKind = (value: number): value is ControlKind => value >= 0 && value <= CONTROL.relay;

/**
 * @param datagramBytes size of the sealed datagram that the message is padded to, if it is smaller
 * @throws RangeError when the body is not one of its kind
 */
export function encodeControl(
  kind: ControlKind,
  body: Uint8Array,
  datagramBytes = SMALL_DATAGRAM,
): Uint8Array {
  const exact = BODY_BYTES[kind];
  if (body.length > MAX_CONTROL_BODY || (exact !== null && body.length !== exact))
    throw new RangeError(`control message ${kind} with a body of ${body.length} bytes`);
  const size = Math.max(HEADER + body.length, SMALL_PLAINTEXT, datagramBytes - SEALED_HEADER - TAG);
  const bytes = new Uint8Array(size);
  bytes[0] = kind;
  viewOf(bytes).setUint16(2, body.length);
  bytes.set(body, HEADER);
  return bytes;
}

/** With or without its padding. Null for anything malformed. The body is a view. */
export function decodeControl(bytes: Uint8Array): ControlMessage | null {
  const kind = bytes[0];
  if (bytes.length < HEADER || kind === undefined || !isKind(kind) || bytes[1] !== 0) return null;
  const length = viewOf(bytes).getUint16(2);
  const end = HEADER + length;
  const exact = BODY_BYTES[kind];
  if (end > bytes.length || length > MAX_CONTROL_BODY || (exact !== null && length !== exact)) return null;
  for (let at = end; at < bytes.length; at++) if (bytes[at] !== 0) return null;
  return { kind, body: bytes.subarray(HEADER, end) };
}

const ACK_SIZE = 8;
const ACK_IP = 10;
const ACK_PORT = 26;

/** @param from where the probe came from, which is how the other side sees its sender: behind a NAT not as it sees itself */
export function encodeProbeAck(id: Uint8Array, sizeBytes: number, from: Endpoint): Uint8Array {
  const body = new Uint8Array(28);
  const view = viewOf(body);
  body.set(id.subarray(0, 8));
  view.setUint16(ACK_SIZE, Math.min(sizeBytes, 0xffff));
  body.set(ipToBytes(from.ip), ACK_IP);
  view.setUint16(ACK_PORT, from.port);
  return body;
}

/** Where the other side saw the probe come from, by the body of its answer. */
export function seenByAck(body: Uint8Array): Endpoint {
  return { ip: ipFromBytes(body.subarray(ACK_IP, ACK_PORT)), port: viewOf(body).getUint16(ACK_PORT) };
}
