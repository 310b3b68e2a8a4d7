/**
 * The beginning of a mesh: its root key, policy 1, the pre-shared key that hides its ports, and the certificate of the
 * first host, which the root signs itself and which may admit others and bridge.
 */
import type { Clock, Rng } from '../clock.ts';
import { WeftError } from '../errors.ts';
import { CAP, NO_ISSUER, signNodeCert } from './node-cert.ts';
import { type Encap, type Mode, meshIdOf, parsePolicy, type SignedPolicy, signPolicy } from './policy.ts';
import { formatPrefix, isHostOf, type Prefix } from './prefix.ts';
import { dhKeyPair, type KeyPair, signingKeyPair } from './sodium.ts';

const NODE_LIFE_SEC = 30 * 86400;
/** Of a certificate that a root gives to an admitter. */
export const ADMITTER_LIFE_MS = 365 * 86400_000;
const LEEWAY_SEC = 600;
/** A certificate is valid from a little before it was made: clocks differ. */
export const BACKDATE_MS = 600_000;
export const DEFAULT_SUITE = 2;
const FIRST_HOST_CAPS = CAP.admit | CAP.bridge | CAP.revoke | CAP.relay;

export interface NodeKeys {
  readonly sign: KeyPair;
  readonly dh: KeyPair;
}

export function newNodeKeys(rng: Rng): NodeKeys {
  return {
    sign: signingKeyPair(rng.fill(new Uint8Array(32))),
    dh: dhKeyPair(rng.fill(new Uint8Array(32))),
  };
}

export interface GenesisOptions {
  readonly meshName: string;
  readonly hostName: string;
  readonly vni: number;
  readonly mode: Mode;
  readonly encap: Encap;
  readonly mtuBytes: number;
  /** The first host's address; its network is the segment's. */
  readonly address: Prefix;
  /** Whether to make a recovery root. */
  readonly recovery: boolean;
}

export interface Genesis {
  readonly meshId: Uint8Array;
  readonly root: KeyPair;
  /** Kept nowhere by weft. */
  readonly recovery: KeyPair | null;
  readonly psk: Uint8Array;
  readonly policy: SignedPolicy;
  readonly keys: NodeKeys;
  readonly cert: Uint8Array;
}

/** @throws WeftError E_CONFIG when the settings make no mesh */
export function createMesh(options: GenesisOptions, clock: Clock, rng: Rng): Genesis {
  if (!isHostOf(options.address, options.address.ip))
    throw new WeftError(
      'E_CONFIG',
      `--address ${formatPrefix(options.address)} is no host address: its network must have room, and it must not be the network's own or broadcast address`,
    );
  const root = signingKeyPair(rng.fill(new Uint8Array(32)));
  const recovery = options.recovery ? signingKeyPair(rng.fill(new Uint8Array(32))) : null;
  const rootNonce = rng.fill(new Uint8Array(16));
  const meshId = meshIdOf(root.publicKey, rootNonce);
  const keys = newNodeKeys(rng);
  const now = clock.wallMs();
  const bytes = signPolicy(
    {
      seq: 1,
      prevId: new Uint8Array(32),
      meshName: options.meshName,
      rootNonce,
      timeMs: now,
      nodeLifeSec: NODE_LIFE_SEC,
      leewaySec: LEEWAY_SEC,
      roots: [root.publicKey],
      recovery: recovery === null ? [] : [recovery.publicKey],
      adopted: [],
      segments: [
        {
          vni: options.vni,
          mode: options.mode,
          encap: options.encap,
          suite: DEFAULT_SUITE,
          mtuBytes: options.mtuBytes,
          prefix: options.address,
        },
      ],
    },
    meshId,
    root.secretKey,
  );
  const policy = parsePolicy(bytes, meshId);
  if (policy === null)
    throw new WeftError(
      'E_CONFIG',
      'these mesh settings make no valid policy: check --vni, --mesh and --address',
    );
  const cert = signNodeCert(
    {
      signPk: keys.sign.publicKey,
      dhPk: keys.dh.publicKey,
      name: options.hostName,
      caps: FIRST_HOST_CAPS,
      tokenId: new Uint8Array(16),
      slot: 0,
      issuerId: NO_ISSUER,
      requestId: new Uint8Array(16),
      notBeforeMs: now - BACKDATE_MS,
      expiresMs: now + ADMITTER_LIFE_MS,
      generation: 1,
      vnis: [options.vni],
      addresses: [{ vni: options.vni, prefix: options.address }],
    },
    meshId,
    root.secretKey,
  );
  return { meshId, root, recovery, psk: rng.fill(new Uint8Array(32)), policy, keys, cert };
}
