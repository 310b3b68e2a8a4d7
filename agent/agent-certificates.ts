/**
 * All that an agent does with certificates but verify them: admits hosts, renews, tells of admissions, gives and takes the right
 * to admit. Builds these parts in order, as agent-host.ts does with the others. Part of the composition root.
 */
import type { Logger } from 'pino';
import type { GossipNode } from '../gossip/index.ts';
import { Admissions, admittersView } from './agent-admission.ts';
import { Admitters } from './agent-admitters.ts';
import type { JoinAsk } from './agent-forward.ts';
import type { LateWrites } from './agent-late.ts';
import type { Mesh } from './agent-mesh.ts';
import { Receipts } from './agent-receipts.ts';
import { Renewal } from './agent-renewal.ts';
import type { StatementBook } from './agent-statements.ts';
import type { Verdicts } from './agent-verdicts.ts';
import { type Clock, systemRng } from './clock.ts';
import type { EventRing } from './control/event-ring.ts';
import { WeftError } from './errors.ts';
import { AdmissionLog } from './identity/admission-log.ts';
import { Admitter } from './identity/admitter.ts';
import { isGrant } from './identity/grant.ts';
import { GrantBook } from './identity/grant-book.ts';
import type { NodeIdentity } from './identity/node-identity.ts';
import { ReceiptBook } from './identity/receipt-book.ts';
import { isReceipt } from './identity/receipt-message.ts';
import { isRenewal } from './identity/renewal.ts';
import { STATE_FILE, type StateDir } from './identity/state-dir.ts';
import type { GossipTrust } from './peer/gossip-trust.ts';
import type { PeerTable } from './peer/peer-table.ts';

export interface CertificatesParts {
  readonly identity: NodeIdentity;
  readonly state: StateDir;
  readonly peers: PeerTable;
  readonly trust: GossipTrust;
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRing;
  readonly late: LateWrites;
}

/** What is built later than this. */
export interface ConnectedParts {
  readonly gossip: GossipNode;
  readonly mesh: Mesh;
  readonly statements: StatementBook;
  readonly verdicts: Verdicts;
}

interface Connected {
  readonly gossip: GossipNode;
  readonly renewal: Renewal;
  readonly receipts: Receipts;
  readonly admitters: Admitters;
  readonly statements: StatementBook;
  readonly reaches: (admitterId: string) => boolean;
}

export class Certificates {
  readonly #p: CertificatesParts;
  readonly admissions: AdmissionLog;
  readonly receiptBook: ReceiptBook;
  readonly #deciding: Admissions;
  #connected: Connected | null = null;

  /** @throws WeftError E_STATE when a file is damaged */
  constructor(parts: CertificatesParts) {
    const { identity, state, trust, clock, log, events } = parts;
    this.#p = parts;
    this.admissions = new AdmissionLog(state.appendFile(STATE_FILE.admissions), clock);
    this.receiptBook = new ReceiptBook(state.appendFile(STATE_FILE.receipts), identity.meshId, clock);
    const admitter = new Admitter({
      trust: identity.trust,
      self: () => identity.cert,
      signSecretKey: identity.keys.sign.secretKey,
      log: this.admissions,
      view: admittersView({
        ...{ identity, trust, clock },
        receipts: this.receiptBook,
        gossip: () => this.#parts.gossip,
      }),
      clock,
    });
    this.#deciding = new Admissions({
      identity,
      admitter,
      log,
      events,
      admitted: (row) => this.#parts.receipts.admitted(row),
    });
  }

  get #parts(): Connected {
    if (this.#connected !== null) return this.#connected;
    throw new WeftError('E_INTERNAL', 'the agent is not connected yet');
  }

  get renewal(): Renewal {
    return this.#parts.renewal;
  }

  /** Another policy is in force. */
  policyChanged(): void {
    this.#connected?.renewal.policyChanged();
  }

  get admitters(): Admitters {
    return this.#parts.admitters;
  }

  /** Why this host's certificate was not renewed in time, for people; null while all is well. */
  get problem(): string | null {
    return this.#parts.renewal.problem;
  }

  /** Policies that stood beside another. */
  get policyConflicts(): number {
    return this.#connected?.statements.conflicts ?? 0;
  }

  get counts(): Admissions['counts'] {
    return this.#deciding.counts;
  }

  /** Gives it what it asks and tells; before that it knows nobody. */
  connect({ gossip, mesh, statements, verdicts }: ConnectedParts): void {
    const { identity, state, peers, trust, clock, log, events, late } = this.#p;
    const common = {
      ...{ identity, state, gossip, trust, clock, log, events, late },
      admitters: () => mesh.admitters(),
      tell: (id: string, isReply: boolean, body: Uint8Array) => mesh.tell(id, isReply, body),
      renewed: () => gossip.restate(),
    };
    this.#connected = {
      gossip,
      statements,
      reaches: (id) => mesh.admitters().includes(id),
      renewal: new Renewal({ ...common, rng: systemRng }),
      receipts: new Receipts({ ...common, book: this.receiptBook, admissions: this.admissions }),
      admitters: new Admitters({
        ...common,
        grants: new GrantBook(state, identity.meshId),
        statements,
        verdicts,
        issued: () => this.receiptBook.all(),
        hasSession: (id) => peers.byId(id)?.state === 'up',
      }),
    };
  }

  start(): void {
    const { renewal, receipts, admitters } = this.#parts;
    renewal.start();
    receipts.start();
    admitters.start();
  }

  stop(): void {
    this.#connected?.admitters.stop();
    this.#connected?.receipts.stop();
    this.#connected?.renewal.stop();
  }

  /** The answer to a host that asks to join; null when another host is to decide. */
  decide(ask: JoinAsk): Uint8Array | null {
    return this.#deciding.decide(ask);
  }

  /** A member came, or has another certificate. */
  member(id: string): void {
    this.#p.late.guard(() => this.#connected?.receipts.member(id));
    this.up(id);
  }

  /** A session with a member is up. */
  up(id: string): void {
    if (this.#connected?.reaches(id)) this.#connected.renewal.admitterChanged(id);
  }

  /** A member's message inside its session; false when it is not about certificates. */
  message(from: string, isReply: boolean, body: Uint8Array): boolean {
    const { renewal, receipts, admitters } = this.#parts;
    const { late } = this.#p;
    if (isRenewal(body)) late.guard(() => renewal.message(from, isReply, body));
    else if (isGrant(body)) late.guard(() => admitters.message(body));
    else if (isReceipt(body)) late.guard(() => receipts.message(from, isReply, body));
    else return false;
    return true;
  }
}
