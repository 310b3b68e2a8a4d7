/**
 * Membership of a running agent: gossip over its socket, with the mesh's trust, the state directory and what its events
 * set off. Part of the composition root.
 */
import type { Logger } from 'pino';
import { GossipNode } from '../gossip/index.ts';
import { readContacts } from './agent-contacts.ts';
import type { LateWrites } from './agent-late.ts';
import type { Mesh } from './agent-mesh.ts';
import type { StatementBook } from './agent-statements.ts';
import { type Clock, systemRng } from './clock.ts';
import type { Config } from './config/schema.ts';
import type { DataPlane } from './datapath/data-plane.ts';
import { type Endpoint, formatEndpoint } from './endpoint.ts';
import { WeftError } from './errors.ts';
import { readCounters, writeCounters } from './identity/node-identity.ts';
import { STATE_FILE, type StateDir } from './identity/state-dir.ts';
import type { GossipTrust } from './peer/gossip-trust.ts';
import { loadMembers, saveMembers } from './peer/member-file.ts';

export interface GossipStart {
  readonly config: Config;
  readonly state: StateDir;
  readonly listen: Endpoint;
  readonly trust: GossipTrust;
  readonly mesh: Mesh;
  readonly statements: StatementBook;
  /** A statement is in force that was not before. */
  readonly onStatement: () => void;
  /** A member came, went, or says something else of itself. */
  readonly onMember: (id: string) => void;
  readonly dataPlane: DataPlane;
  readonly clock: Clock;
  readonly log: Logger;
  readonly late: LateWrites;
  /** A member, or this host, is known to have signed two different records with one number. */
  readonly onEquivocation: (id: string) => void;
  /** Seconds of a probe that was answered. */
  readonly onProbe: (seconds: number) => void;
}

export async function startGossip(o: GossipStart): Promise<GossipNode> {
  const { config, state, listen, trust, mesh, dataPlane, clock, log, onProbe } = o;
  const saved = loadMembers(state);
  if (saved.damaged)
    log.warn({ file: state.file(STATE_FILE.members) }, 'damaged; what is missing will be learned again');
  const contacts = readContacts(state);
  try {
    return await GossipNode.start({
      own: trust.ownRecord('alive', null),
      sealer: trust,
      verifier: trust,
      statements: o.statements,
      signer: trust,
      persistence: {
        nextBoot: (atLeast) => {
          const counters = readCounters(state);
          const boot = Math.max(counters.boot, atLeast) + 1;
          writeCounters(state, { ...counters, boot });
          return boot;
        },
        loadMembers: () => saved.members,
        saveMembers: (members) => {
          const list = [...members];
          o.late.keep(STATE_FILE.members, () => saveMembers(state, list));
        },
      },
      rng: systemRng,
      contacts,
      listen: { ip: listen.ip, port: config.gossipPort },
      clock: clock,
      onFailure: (error) => o.late.failed(error),
      onOutput: (output) => {
        if (output.type === 'member') {
          mesh.memberChanged(output.id);
          o.onMember(output.id);
        } else if (output.type === 'reachable') mesh.reachable(output.id);
        else if (output.type === 'statement') o.onStatement();
        else if (output.type === 'drop') dataPlane.drop('receive', output.reason);
        else if (output.type === 'probe' && output.rttMs !== null) onProbe(output.rttMs / 1000);
        else if (output.type === 'equivocation') o.onEquivocation(output.id);
      },
    });
  } catch (error) {
    const at = formatEndpoint({ ip: listen.ip, port: config.gossipPort });
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE')
      throw new WeftError(
        'E_ADDRESS_IN_USE',
        `gossip UDP socket ${at} is in use by another process: stop it or set gossip_port`,
        { cause: error },
      );
    throw new WeftError('E_DEVICE', `gossip UDP socket ${at}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
