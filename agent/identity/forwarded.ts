/**
 * An admission that a seed passes on: what it sends to the admitter inside its own session (lane 15, kinds request and
 * reply), and what it gets back. The joiner's static key goes along, because only the seed saw its handshake; it proves
 * nothing by itself, the request is signed by the token and by the joiner. Called by agent-forward.ts. Never throws on
 * input.
 *
 *    0       1             9            41       57
 *   +-------+-------------+------------+--------+-----------------+--------------------+
 *   | 1     | ask[8]      | dh_pk[32]  | ip[16] | block TokenCert | block NodeRequest  |   request
 *   +-------+-------------+------------+--------+-----------------+--------------------+
 *   +-------+-------------+------------------------------+
 *   | 1     | ask[8]      | admission reply              |                        reply
 *   +-------+-------------+------------------------------+
 *
 * `ask` is random, made by the seed; `ip` is where the seed sees the joiner, IPv4 mapped, for tokens that say from where hosts may
 * join. The first byte says what the message is about: 1 is admission.
 */
import { ipFromBytes, ipToBytes } from '../endpoint.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import { MAX_RECORD_BYTES } from './record.ts';

const ADMISSION = 1;
export const ASK_BYTES = 8;
const REPLY_HEADER = 1 + ASK_BYTES;

export interface ForwardedRequest {
  readonly ask: Uint8Array;
  readonly dhPk: Uint8Array;
  /** The joiner's address on the underlay, as the seed sees it. */
  readonly fromIp: string;
  readonly tokenCert: Uint8Array;
  readonly request: Uint8Array;
}

export interface ForwardedReply {
  readonly ask: Uint8Array;
  readonly reply: Uint8Array;
}

export function encodeForwardedRequest(f: ForwardedRequest): Uint8Array {
  return new ByteWriter()
    .u8(ADMISSION)
    .bytes(f.ask)
    .bytes(f.dhPk)
    .bytes(ipToBytes(f.fromIp))
    .block(f.tokenCert)
    .block(f.request)
    .finish();
}

export function decodeForwardedRequest(bytes: Uint8Array): ForwardedRequest | null {
  const r = new ByteReader(bytes);
  if (r.u8() !== ADMISSION) return null;
  const forwarded = {
    ask: r.bytes(ASK_BYTES),
    dhPk: r.bytes(32),
    fromIp: ipFromBytes(r.bytes(16)),
    tokenCert: r.block(MAX_RECORD_BYTES),
    request: r.block(MAX_RECORD_BYTES),
  };
  return r.done ? forwarded : null;
}

export function encodeForwardedReply({ ask, reply }: ForwardedReply): Uint8Array {
  return new ByteWriter().u8(ADMISSION).bytes(ask).bytes(reply).finish();
}

export function decodeForwardedReply(bytes: Uint8Array): ForwardedReply | null {
  if (bytes[0] !== ADMISSION || bytes.length <= REPLY_HEADER) return null;
  return { ask: bytes.slice(1, REPLY_HEADER), reply: bytes.slice(REPLY_HEADER) };
}
