/**
 * What gossip/ needs from the mesh's trust: judging records and accusations, signing our own, and the pairwise boxes of
 * PROTOCOL.md (K(s to r) = H(crypto_box_beforenm, "weft1 gossip" || mesh_id || s_id || r_id)). A credential is a node
 * certificate followed by its admitter's.
 */
import { LRUCache } from 'lru-cache';
import type {
  Accusation,
  Address,
  RecordVerifier,
  Sealer,
  Signer,
  VerifiedRecord,
} from '../../gossip/index.ts';
import type { Endpoint } from '../endpoint.ts';
import { parseNodeCert, type ReadNodeCert } from '../identity/node-cert.ts';
import type { NodeIdentity } from '../identity/node-identity.ts';
import { parseNodeState, signNodeState } from '../identity/node-state.ts';
import { announcedLength } from '../identity/record.ts';
import {
  boxBeforeNm,
  boxOpen,
  boxSeal,
  concat,
  keyedHash,
  settled,
  toHex,
  utf8,
  xchachaOpen,
  xchachaSeal,
} from '../identity/sodium.ts';
import { parseSuspicion, signSuspicion } from '../identity/suspicion.ts';

/** Precomputed box keys, two for each partner; the ones used least recently are derived again. */
const MAX_BOX_KEYS = 4096;
/** Credentials with their parsed certificate. */
const MAX_CERTIFICATES = 4096;
/** How long a verified certificate is believed without another look at its times. */
const RECHECK_MS = 60_000;
const STATE_VALID_MS = 30 * 86400_000;

/** Who came with one token votes with one voice while it is a minority; whom a root made came with none. */
function voterClassOf(cert: ReadNodeCert): string | null {
  return cert.tokenId.every((byte) => byte === 0) ? null : toHex(cert.tokenId);
}

export interface GossipTrustOptions {
  readonly identity: NodeIdentity;
  /** Where other hosts reach this one. */
  readonly listen: Endpoint;
  readonly gossipPort: number;
  readonly incarnation: number;
  /** Puts an incarnation on disk; returns only then. */
  readonly persistIncarnation: (incarnation: number) => void;
}

export class GossipTrust implements RecordVerifier, Signer, Sealer {
  readonly #o: GossipTrustOptions;
  readonly #introKey: Uint8Array;
  /** By direction and partner; bounded by MAX_BOX_KEYS. */
  readonly #boxKeys: LRUCache<string, Uint8Array>;
  /** By hex of the certificate's signature end; bounded by MAX_CERTIFICATES. */
  readonly #certs = new LRUCache<string, ReadNodeCert>({
    max: MAX_CERTIFICATES,
    ttl: RECHECK_MS,
  });
  #incarnation: number;
  #seq = 0;
  #released = false;

  constructor(options: GossipTrustOptions) {
    this.#o = options;
    this.#incarnation = options.incarnation;
    this.#introKey = keyedHash(options.identity.psk, [utf8('weft1 intro')]);
    this.#boxKeys = new LRUCache({ max: MAX_BOX_KEYS, dispose: (key) => key.fill(0) });
  }

  /** The certificate of a member, as last verified; null if its credential does not verify any more. */
  certOf(credential: Uint8Array): ReadNodeCert | null {
    const { trust } = this.#o.identity;
    const length = announcedLength(credential);
    if (length === 0 || length > credential.length) return null;
    const certBytes = credential.subarray(0, length);
    const admitter = credential.subarray(length);
    const verdict = trust.verifyNodeCert(certBytes, admitter.length > 0 ? admitter : null);
    return verdict.ok ? verdict.cert : null;
  }

  /** When the first certificate of a credential ends, Unix ms; null if there is none. No signature is looked at. */
  endOf(credential: Uint8Array): number | null {
    const length = announcedLength(credential);
    const { meshId } = this.#o.identity;
    const certs = [credential.subarray(0, length), credential.subarray(length)];
    const ends = certs.flatMap((bytes) => parseNodeCert(bytes, meshId)?.expiresMs ?? []);
    return ends.length === 0 ? null : Math.min(...ends);
  }

  /** As `certOf`, without another look at what was verified within a minute and since the last statement. */
  knownCert(credential: Uint8Array): ReadNodeCert | null {
    const key = Buffer.from(credential.buffer, credential.byteOffset, credential.length).toString('latin1');
    const known = this.#certs.get(key);
    if (known !== undefined) return known;
    const cert = this.certOf(credential);
    if (cert !== null) this.#certs.set(key, cert);
    return cert;
  }

  claimedId(record: Uint8Array): string | null {
    const state = parseNodeState(record, this.#o.identity.meshId);
    return state === null ? null : toHex(state.nodeId);
  }

  verify(record: Uint8Array, credential: Uint8Array): VerifiedRecord | null {
    const cert = this.knownCert(credential);
    const state = cert === null ? null : this.#o.identity.trust.verifyNodeState(record, cert);
    if (cert === null || state === null) return null;
    const endpoint = state.endpoints[0];
    const address: Address | null =
      endpoint === undefined ? null : { ip: endpoint.ip, port: endpoint.gossipPort };
    return {
      id: cert.nodeIdHex,
      incarnation: state.incarnation,
      seq: state.seq,
      status: state.status === 'alive' ? 'alive' : 'left',
      address,
      boxKey: cert.dhPk,
      voterClass: voterClassOf(cert),
      bytes: record,
      credential,
    };
  }

  verifyAccusation(bytes: Uint8Array, credentialOf: (id: string) => Uint8Array | null): Accusation | null {
    const read = parseSuspicion(bytes, this.#o.identity.meshId);
    if (read === null) return null;
    const accuser = toHex(read.accuserId);
    const credential = credentialOf(accuser);
    const cert = credential === null ? null : this.knownCert(credential);
    if (cert === null || !read.signedBy(cert.signPk)) return null;
    return { accuser, target: toHex(read.targetId), incarnation: read.targetIncarnation };
  }

  /** What ends certificates has changed: the next look at each is a whole one. */
  forgetVerdicts(): void {
    this.#certs.clear();
  }

  /** Zeroes the keys of the boxes to and from a member. */
  forgetKeys(peer: string): void {
    for (const direction of ['to', 'from']) this.#boxKeys.delete(`${direction} ${peer}`);
  }

  /** From now on a leave gives up name, address and certificate. */
  release(): void {
    this.#released = true;
  }

  ownRecord(status: 'alive' | 'left', raiseAbove: number | null): VerifiedRecord {
    const { identity, listen, gossipPort, persistIncarnation } = this.#o;
    if (raiseAbove !== null) {
      const next = Math.max(this.#incarnation, raiseAbove) + 1;
      // First on disk: one that is used and forgotten would be used again for another record.
      persistIncarnation(next);
      this.#incarnation = next;
      this.#seq = 0;
    } else {
      this.#seq += 1;
    }
    const bytes = signNodeState(
      {
        nodeId: identity.cert.nodeId,
        certId: identity.cert.record.id.slice(0, 16),
        incarnation: this.#incarnation,
        seq: this.#seq,
        status: status === 'left' && this.#released ? 'released' : status,
        policySeq: identity.policy.seq,
        revocationDigest: identity.trust.revocations.digest,
        validUntilMs: identity.trust.nowMs() + STATE_VALID_MS,
        endpoints: [{ ip: listen.ip, sealedPort: listen.port, gossipPort }],
      },
      identity.meshId,
      identity.keys.sign.secretKey,
    );
    return {
      id: identity.cert.nodeIdHex,
      incarnation: this.#incarnation,
      seq: this.#seq,
      status,
      address: { ip: listen.ip, port: gossipPort },
      boxKey: identity.cert.dhPk,
      voterClass: voterClassOf(identity.cert),
      bytes,
      credential: concat(identity.certBytes, identity.admitterBytes),
    };
  }

  accuse(target: string, incarnation: number): Uint8Array {
    const { identity } = this.#o;
    const statement = {
      accuserId: identity.cert.nodeId,
      targetId: new Uint8Array(Buffer.from(target, 'hex')),
      targetIncarnation: incarnation,
    };
    return signSuspicion(statement, identity.meshId, identity.keys.sign.secretKey);
  }

  #boxKey(direction: 'to' | 'from', peer: string, peerKey: Uint8Array): Uint8Array | null {
    const cacheKey = `${direction} ${peer}`;
    const known = this.#boxKeys.get(cacheKey);
    if (known !== undefined) return known;
    const { identity } = this.#o;
    const shared = boxBeforeNm(peerKey, identity.keys.dh.secretKey);
    if (shared === null) return null;
    const peerId = new Uint8Array(Buffer.from(peer, 'hex'));
    const own = identity.cert.nodeId;
    const ids = direction === 'to' ? [own, peerId] : [peerId, own];
    const key = settled(keyedHash(shared, [utf8('weft1 gossip'), identity.meshId, ...ids]));
    shared.fill(0);
    this.#boxKeys.set(cacheKey, key);
    return key;
  }

  seal(to: string, toBoxKey: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): Uint8Array | null {
    const key = this.#boxKey('to', to, toBoxKey);
    return key === null ? null : boxSeal(plaintext, nonce, key);
  }

  open(from: string, fromBoxKey: Uint8Array, nonce: Uint8Array, box: Uint8Array): Uint8Array | null {
    const key = this.#boxKey('from', from, fromBoxKey);
    return key === null ? null : boxOpen(box, nonce, key);
  }

  sealIntro(nonce: Uint8Array, plaintext: Uint8Array): Uint8Array {
    return xchachaSeal(plaintext, nonce, this.#introKey);
  }

  openIntro(nonce: Uint8Array, sealed: Uint8Array): Uint8Array | null {
    return xchachaOpen(sealed, nonce, this.#introKey);
  }
}
