/**
 * The fixed keys and times behind the examples of docs/WIRE.md. Every secret is BLAKE2b-256 of `weft wire example NAME`,
 * so that another implementation can make them too. Nothing here is ever used outside these tests.
 */
import type { Clock, Rng } from '../../agent/clock.ts';
import { derivedMac } from '../../agent/identity/derived-mac.ts';
import { nodeIdOf } from '../../agent/identity/node-cert.ts';
import { meshIdOf } from '../../agent/identity/policy.ts';
import { dhKeyPair, hash, signingKeyPair, sodiumReady, utf8 } from '../../agent/identity/sodium.ts';

await sodiumReady;

/** 2027-01-15T08:00:00Z */
export const NOW_MS = 1_800_000_000_000;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
export const VNI = 42;

/** 32 bytes for a name. */
export const secret = (name: string): Uint8Array => hash(utf8(`weft wire example ${name}`));

/** The first `size` bytes of a secret: nonces, tokens, indexes. */
export const some = (name: string, size: number): Uint8Array => secret(name).slice(0, size);

export const clock: Clock = {
  monotonicMs: () => 0,
  wallMs: () => NOW_MS,
  every: () => () => {},
  after: () => () => {},
};

/** Gives secret(`NAME 0`), secret(`NAME 1`), ... cut to what is asked for. */
export function fixedRng(name: string): Rng {
  let count = 0;
  return {
    fill(into) {
      for (let at = 0; at < into.length; at += 32) {
        into.set(secret(`${name} ${count++}`).subarray(0, into.length - at), at);
      }
      return into;
    },
    float: () => 0.5,
  };
}

function node(name: string) {
  const sign = signingKeyPair(secret(`${name} sign`));
  const dh = dhKeyPair(secret(`${name} dh`));
  return { name, sign, dh, id: nodeIdOf(sign.publicKey, dh.publicKey) };
}

export type WireNode = ReturnType<typeof node>;

export const root = signingKeyPair(secret('root'));
export const rootNonce = some('root nonce', 16);
export const meshId = meshIdOf(root.publicKey, rootNonce);
export const psk = secret('psk');
/** The first host, an admitter. */
export const alpha = node('alpha');
/** A host that joined. */
export const beta = node('beta');
export const tokenKey = signingKeyPair(fixedRng('token').fill(new Uint8Array(32)));

export const concatBytes = (...parts: readonly Uint8Array[]): Uint8Array =>
  new Uint8Array(Buffer.concat(parts));

/** The bytes of a hex text, spaces and line ends ignored. */
export const fromHex = (text: string): Uint8Array =>
  Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'));

export const alphaMac = derivedMac(alpha.id, VNI);

/** An ARP request of alpha for 10.80.0.2, 42 bytes. */
export const FRAME = concatBytes(
  fromHex('ff ff ff ff ff ff'),
  alphaMac,
  fromHex('08 06 00 01 08 00 06 04 00 01'),
  alphaMac,
  fromHex('0a 50 00 01 00 00 00 00 00 00 0a 50 00 02'),
);
