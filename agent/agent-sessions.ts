/**
 * The session manager of a running agent: what it may know of identity, policy and disk. Part of the composition root.
 */
import { ReplayWindow, SealingKey } from 'tun-tap';
import { loadReplays, rotateResetSecret } from './agent-persist.ts';
import { systemRng } from './clock.ts';
import type { Config } from './config/schema.ts';
import type { NodeIdentity } from './identity/node-identity.ts';
import type { SegmentRule } from './identity/policy.ts';
import type { StateDir } from './identity/state-dir.ts';
import { parseTokenCert } from './identity/token.ts';
import { SessionManager } from './session/session-manager.ts';
import type { LocalFacts, SessionLimits } from './session/types.ts';

/** Lanes of data that receive workers accept: all but control. */
const ALL_DATA_LANES = 0x7fff;

/** The same at the start and after a reload. */
export function sessionLimits({ session }: Config): Omit<SessionLimits, 'maxPeers'> {
  return {
    rekeyAfterMs: session.rekeyAfterSec * 1000,
    rejectAfterMs: session.rekeyAfterSec * 1500,
    rekeyAfterPackets: session.rekeyAfterPackets,
  };
}

/** What this host says of itself in a handshake. */
export function factsOf({ trust, certBytes, admitterBytes }: NodeIdentity): LocalFacts {
  return {
    policySeq: trust.policy.seq,
    policyId: trust.policy.id.slice(0, 16),
    revocationDigest: trust.revocations.digest,
    // A certificate that the root signed itself stands for its admitter's too.
    certificates: [certBytes, admitterBytes.length > 0 ? admitterBytes : certBytes],
  };
}

/** @param exchanging whether frames go in and out at all */
export function createSessions(
  config: Config,
  state: StateDir,
  identity: NodeIdentity,
  segment: SegmentRule,
  incarnation: number,
  transmitLanes: number,
  exchanging: boolean,
  isQuarantined: (id: string) => boolean,
): SessionManager {
  const { trust, keys } = identity;
  const sealed = exchanging && segment.mode === 'sealed';
  const sessions = new SessionManager(
    {
      meshId: identity.meshId,
      psk: identity.psk,
      suite: segment.suite,
      inner: segment.encap === 'vxlan' ? 1 : 2,
      dataLanes: sealed ? ALL_DATA_LANES : 0,
      transmitLanes: sealed ? transmitLanes : 0,
      transmitFlags: 1,
      identity: { dhSk: keys.dh.secretKey, dhPk: keys.dh.publicKey, signPk: keys.sign.publicKey },
      incarnation,
      resetSecrets: rotateResetSecret(state, systemRng),
      local: () => factsOf(identity),
      verifyMember: (certificates) => {
        const [cert, issuer] = certificates;
        const verdict = cert === undefined ? null : trust.verifyNodeCert(cert, issuer ?? null);
        if (verdict === null || !verdict.ok)
          return { ok: false, reason: verdict?.reason ?? 'no certificate' };
        const { nodeIdHex, dhPk, signPk, name } = verdict.cert;
        if (isQuarantined(nodeIdHex))
          return { ok: false, reason: `host ${name} signed two different records with one number` };
        return { ok: true, value: { id: nodeIdHex, dhPk, signPk } };
      },
      verifyToken: (bytes) =>
        parseTokenCert(bytes, identity.meshId, trust.roots) === null
          ? { ok: false, reason: 'not a token of this mesh' }
          : { ok: true, value: null },
      sealer: (suite, key) => new SealingKey(suite, key),
      window: () => new ReplayWindow(),
      limits: sessionLimits(config),
    },
    systemRng,
  );
  sessions.restoreReplays(loadReplays(state));
  return sessions;
}
