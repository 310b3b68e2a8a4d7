/**
 * `weft revoke` on a host that may say it: finds what is meant, signs, puts it on disk and tells everybody. A root may end
 * anything; a host with the right to revoke ends nodes, tokens and names, and never what a root signed. Part of the
 * composition root.
 */
import type { GossipNode } from '../gossip/index.ts';
import type { StatementBook } from './agent-statements.ts';
import type { Verdicts } from './agent-verdicts.ts';
import type { Clock } from './clock.ts';
import type { RevocationReport, RevocationsReport, RevokeRequest } from './control/api-types.ts';
import { WeftError } from './errors.ts';
import type { AdmissionLog, AdmissionRow } from './identity/admission-log.ts';
import { CAP, NODE_NAME, parseNodeCert, type ReadNodeCert } from './identity/node-cert.ts';
import type { NodeIdentity } from './identity/node-identity.ts';
import {
  MAX_KEPT_CERTS,
  nameTarget,
  paddedTarget,
  parseRevocation,
  type ReadRevocation,
  signRevocation,
} from './identity/revocation.ts';
import { equalBytes, fromHex, toHex } from './identity/sodium.ts';
import type { GossipTrust } from './peer/gossip-trust.ts';

interface RevokeParts {
  readonly identity: NodeIdentity;
  /** Certificates of all members that this host knows of. */
  readonly members: () => readonly ReadNodeCert[];
  readonly admissions: () => readonly AdmissionRow[];
  /** Puts a statement on disk and in force; its id, or null if nothing is new in it. */
  readonly take: (statement: Uint8Array) => string | null;
  /** Tells the mesh and ends what it ends. */
  readonly publish: (id: string) => void;
  readonly clock: Clock;
}

const WHOLE_ID = /^[0-9a-f]{64}$/;
const TOKEN_ID = /^[0-9a-f]{32}$/;
/** Enough digits of an id to be meant. */
const SHORT_ID = /^[0-9a-f]{8,63}$/;

interface Target {
  readonly target: Uint8Array;
  readonly label: string;
}

const noSuch = (kind: string, what: string, fix: string): WeftError =>
  new WeftError('E_NOT_FOUND', `there is no ${kind} '${what}': ${fix}`);

/** Certificates of the members that are known now. */
export function certifiedMembers(gossip: GossipNode, trust: GossipTrust): ReadNodeCert[] {
  return gossip.swim.members().flatMap((m) => trust.certOf(m.record.credential) ?? []);
}

/** Every certificate that this host ever heard of, by the host that holds it now or once did. */
function certificates(parts: RevokeParts): ReadNodeCert[] {
  const { identity } = parts;
  const admitted = parts.admissions().flatMap((row) => parseNodeCert(row.cert, identity.meshId) ?? []);
  return [identity.cert, ...parts.members(), ...admitted];
}

const findNode = (parts: RevokeParts, what: string): ReadNodeCert | null =>
  findMember(certificates(parts), what);

/** The host that a name, a node id or the beginning of one means; null if it is none. @throws WeftError E_REQUEST */
export function findMember(certs: readonly ReadNodeCert[], what: string): ReadNodeCert | null {
  const found = certs.filter(
    (cert) =>
      cert.name === what ||
      cert.nodeIdHex === what ||
      (SHORT_ID.test(what) && cert.nodeIdHex.startsWith(what)),
  );
  const ids = new Set(found.map((cert) => cert.nodeIdHex));
  if (ids.size > 1)
    throw new WeftError(
      'E_REQUEST',
      `'${what}' means ${ids.size} hosts: give the node id, see \`weft members --json\``,
    );
  return found[0] ?? null;
}

function nodeTarget(parts: RevokeParts, kind: 'node' | 'admitter', what: string): Target {
  const { identity } = parts;
  const cert = findNode(parts, what);
  if (cert === null) {
    if (WHOLE_ID.test(what)) return { target: fromHex(what), label: what.slice(0, 16) };
    throw noSuch(kind, what, 'see `weft members`, or give its whole node id');
  }
  if (cert.nodeIdHex === identity.cert.nodeIdHex)
    throw new WeftError('E_REFUSED', `'${what}' is this host: revoke it from another, or use \`weft leave\``);
  // Whoever was an admitter once may have issued certificates that are good still.
  const wasAdmitter = identity.trust.revocations.grantsEnded().includes(cert.nodeIdHex);
  if (kind === 'admitter' && !(cert.caps & CAP.admit) && !wasAdmitter)
    throw new WeftError('E_NOT_FOUND', `'${what}' is no admitter: use \`weft revoke node ${what}\``);
  return { target: cert.nodeId, label: cert.name };
}

function tokenTarget(parts: RevokeParts, what: string): Target {
  if (TOKEN_ID.test(what)) return { target: paddedTarget(fromHex(what)), label: what.slice(0, 16) };
  const ids = new Set(
    parts
      .admissions()
      .map((row) => row.tokenId)
      .filter((id) => SHORT_ID.test(what) && id.startsWith(what)),
  );
  const [id] = ids;
  if (id === undefined || ids.size > 1)
    throw noSuch('token', what, 'give the id (32 hex digits) that `weft token create` printed');
  return { target: paddedTarget(fromHex(id)), label: id.slice(0, 16) };
}

function targetOf(parts: RevokeParts, { kind, what }: RevokeRequest): Target {
  if (kind === 'token') return tokenTarget(parts, what);
  if (kind !== 'name') return nodeTarget(parts, kind, what);
  if (!NODE_NAME.test(what)) throw noSuch('name', what, 'names are made of a-z, 0-9 and hyphens');
  if (what === parts.identity.cert.name)
    throw new WeftError('E_REFUSED', `'${what}' is the name of this host: it would end its own membership`);
  return { target: nameTarget(what), label: what };
}

/** Certificate ids of the hosts to keep, of an admitter that is revoked. */
function kept(parts: RevokeParts, request: RevokeRequest): Uint8Array[] {
  if (request.keep.length > MAX_KEPT_CERTS)
    throw new WeftError('E_REQUEST', `at most ${MAX_KEPT_CERTS} hosts can be kept: let the others join anew`);
  return request.keep.map((name) => {
    const cert = findNode(parts, name);
    if (cert === null) throw noSuch('host', name, 'see `weft members`');
    return cert.record.id.slice(0, 16);
  });
}

function signerOf({ identity }: RevokeParts, kind: RevokeRequest['kind']) {
  if (identity.root !== null) return { secretKey: identity.root.secretKey, cert: null };
  if (kind !== 'admitter' && identity.cert.caps & CAP.revoke)
    return { secretKey: identity.keys.sign.secretKey, cert: identity.cert.record };
  throw new WeftError(
    'E_REFUSED',
    `this host may not revoke ${kind === 'admitter' ? 'admitters' : 'anything'}: do it on the host that holds the root of the mesh`,
  );
}

/** @throws WeftError E_REFUSED, E_NOT_FOUND, E_REQUEST */
function revoke(parts: RevokeParts, request: RevokeRequest): RevocationReport {
  const { identity, clock } = parts;
  const signer = signerOf(parts, request.kind);
  const { target, label } = targetOf(parts, request);
  const before = parts.members();
  const statement = signRevocation(
    {
      kind: request.kind,
      target,
      label,
      reason: request.reason,
      keep: kept(parts, request),
      timeMs: Math.max(clock.wallMs(), identity.trust.nowMs()),
    },
    identity.meshId,
    signer,
  );
  const read = parseRevocation(statement, identity.meshId, identity.policy);
  if (read === null) throw new WeftError('E_REQUEST', 'the reason must be at most 120 printable characters');
  if (signer.cert !== null && request.kind === 'node' && isRootSigned(findNode(parts, request.what)))
    throw new WeftError(
      'E_REFUSED',
      `only the root of the mesh can revoke '${label}', which it signed itself`,
    );
  const id = parts.take(statement);
  if (id === null)
    throw new WeftError(
      'E_REFUSED',
      `${request.kind} '${label}' was revoked before, or there are too many revocations`,
    );
  parts.publish(id);
  const left = new Set(parts.members().map((cert) => cert.nodeIdHex));
  const ended = before.filter((cert) => !left.has(cert.nodeIdHex)).map((cert) => cert.name);
  return { v: 1, ...describe(read), hosts: ended.sort() };
}

/** The same with the parts of a running agent. */
export function revokeHere(agent: RevokingAgent, request: RevokeRequest): RevocationReport {
  const { identity, gossip, trust, admissions, statements, verdicts, clock } = agent;
  return revoke(
    {
      identity,
      members: () => certifiedMembers(gossip, trust),
      admissions: () => admissions.rows(),
      take: (statement) => {
        const taken = statements.receive(statement);
        return typeof taken === 'string' ? null : taken.id;
      },
      publish: (id) => {
        gossip.tell(id);
        verdicts.changed();
      },
      clock,
    },
    request,
  );
}

export interface RevokingAgent {
  readonly identity: NodeIdentity;
  readonly gossip: GossipNode;
  readonly trust: GossipTrust;
  readonly admissions: AdmissionLog;
  readonly statements: StatementBook;
  readonly verdicts: Verdicts;
  readonly clock: Clock;
}

const isRootSigned = (cert: ReadNodeCert | null): boolean =>
  cert !== null && equalBytes(cert.issuerId, new Uint8Array(16));

function describe(r: ReadRevocation): Omit<RevocationReport, 'v' | 'hosts'> {
  return {
    kind: r.kind,
    what: r.label,
    target: toHex(r.target),
    reason: r.reason === '' ? null : r.reason,
    revokedAt: r.timeMs,
    byRoot: r.signerNode === null,
  };
}

/** Newest first. */
export function revocations(identity: NodeIdentity): RevocationsReport {
  const all = identity.trust.revocations.all().map(describe);
  return {
    v: 1,
    revocations: all.sort((a, b) => b.revokedAt - a.revokedAt || a.target.localeCompare(b.target)),
  };
}
