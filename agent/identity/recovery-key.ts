/**
 * The recovery key as text, for a file or paper that lies in no host: whoever has it can name the mesh's next root, and
 * nothing else. Text: `weftrecovery1_` and base64url of
 *
 *   u8 version = 1 | mesh id[32] | seed[32] | u32 crc32 of everything before
 */
import { crc32 } from 'node:zlib';
import { WeftError } from '../errors.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import { equalBytes, type KeyPair, signingKeyPair } from './sodium.ts';

const PREFIX = 'weftrecovery1_';
const VERSION = 1;
const TEXT = /^weftrecovery1_[A-Za-z0-9_-]{92}$/;

export function formatRecoveryKey(meshId: Uint8Array, key: KeyPair): string {
  const body = new ByteWriter().u8(VERSION).bytes(meshId).bytes(key.secretKey.subarray(0, 32)).finish();
  const bytes = new ByteWriter().bytes(body).u32(crc32(body)).finish();
  return PREFIX + Buffer.from(bytes).toString('base64url');
}

/** @throws WeftError E_REQUEST for anything but a recovery key of this mesh; the text is in no message */
export function parseRecoveryKey(text: string, meshId: Uint8Array): KeyPair {
  const trimmed = text.trim();
  if (!trimmed.startsWith(PREFIX))
    throw new WeftError(
      'E_REQUEST',
      'this is no recovery key: it should begin with weftrecovery1_, as `weft init --recovery-out FILE` wrote it',
    );
  const bytes = new Uint8Array(Buffer.from(trimmed.slice(PREFIX.length), 'base64url'));
  const r = new ByteReader(bytes);
  const version = r.u8();
  const mesh = r.bytes(32);
  const seed = r.bytes(32);
  const sum = r.u32();
  if (!TEXT.test(trimmed) || !r.done || sum !== crc32(bytes.subarray(0, bytes.length - 4)))
    throw new WeftError(
      'E_REQUEST',
      'the recovery key is damaged or cut off: its checksum does not match; copy it again',
    );
  if (version !== VERSION)
    throw new WeftError(
      'E_REQUEST',
      `the recovery key is of version ${version}, which this weft does not know: upgrade weft`,
    );
  if (!equalBytes(mesh, meshId)) throw new WeftError('E_REFUSED', 'the recovery key belongs to another mesh');
  return signingKeyPair(seed);
}
