/**
 * contacts.json: the hosts of the join token, so that a host that restarts before it has met anybody still knows where to
 * begin. Public keys, addresses and names only; names are looked up again while nobody answers. Part of the composition
 * root.
 */
import type { Contact, GossipNode } from '../gossip/index.ts';
import { lookUp, type Resolver, systemResolver } from './agent-seeds.ts';
import type { Clock } from './clock.ts';
import { canonicalIp } from './endpoint.ts';
import { nodeIdOf } from './identity/node-cert.ts';
import { toHex } from './identity/sodium.ts';
import { STATE_FILE, type StateDir } from './identity/state-dir.ts';
import { HOST_NAME, type Token } from './identity/token.ts';

interface StoredContact {
  readonly id: string;
  readonly dhPk: string;
  readonly ip: string;
  readonly gossipPort: number;
  /** A name that is looked up; absent in files of earlier versions. */
  readonly host?: string | null;
}

/** A contact and the name under which it may be found elsewhere. */
export interface NamedContact extends Contact {
  readonly host: string | null;
}

const LOOK_AGAIN_MS = 15_000;

export function writeContacts(state: StateDir, token: Token): void {
  const contacts = token.seeds.map(
    (s): StoredContact => ({
      id: toHex(nodeIdOf(s.signPk, s.dhPk)),
      dhPk: toHex(s.dhPk),
      ip: s.ip,
      gossipPort: s.gossipPort,
      host: s.host,
    }),
  );
  state.write(STATE_FILE.contacts, `${JSON.stringify(contacts, null, 2)}\n`);
}

const isContact = (c: StoredContact): boolean =>
  /^[0-9a-f]{64}$/.test(c?.id) &&
  /^[0-9a-f]{64}$/.test(c?.dhPk) &&
  canonicalIp(String(c?.ip)) !== null &&
  Number.isInteger(c?.gossipPort) &&
  (c.host == null || HOST_NAME.test(c.host));

/** @throws WeftError E_STATE for a damaged file */
export function readContacts(state: StateDir): NamedContact[] {
  if (!state.has(STATE_FILE.contacts)) return [];
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(state.read(STATE_FILE.contacts)).toString('utf8'));
  } catch {
    throw state.damaged(STATE_FILE.contacts, 'is damaged');
  }
  if (!Array.isArray(value) || !value.every(isContact))
    throw state.damaged(STATE_FILE.contacts, 'is damaged');
  return (value as StoredContact[]).map((c) => ({
    id: c.id,
    boxKey: new Uint8Array(Buffer.from(c.dhPk, 'hex')),
    address: { ip: c.ip, port: c.gossipPort },
    host: c.host ?? null,
  }));
}

/**
 * Looks the names up now and again for as long as this host sees nobody else, each time going on to the next address that
 * a name has. Returns what stops it.
 */
export function followNames(
  gossip: { readonly swim: Pick<GossipNode['swim'], 'stats' | 'moveContact'> },
  contacts: readonly NamedContact[],
  clock: Clock,
  resolver: Resolver = systemResolver,
): () => void {
  const named = contacts.filter(({ host }) => host !== null);
  if (named.length === 0) return () => {};
  let round = 0;
  const look = async (): Promise<void> => {
    if (gossip.swim.stats().members.alive > 1) return;
    for (const { id, host, address } of named) {
      const places = host === null ? [] : await lookUp(host, address.port, clock, resolver);
      // A service's record names the sealed port; gossip keeps its own.
      const ips = [...new Set([...places.map(({ ip }) => ip), address.ip])];
      const ip = ips[round % ips.length] ?? address.ip;
      gossip.swim.moveContact(id, { ip, port: address.port });
    }
    round += 1;
  };
  void look();
  return clock.every(LOOK_AGAIN_MS, () => void look());
}
