/**
 * contacts.json: the hosts of the join token, so that a host that restarts before it has met anybody still knows where to
 * begin. Public keys and addresses only. Part of the composition root.
 */
import type { Contact } from '../gossip/index.ts';
import { canonicalIp } from './endpoint.ts';
import { nodeIdOf } from './identity/node-cert.ts';
import { toHex } from './identity/sodium.ts';
import { STATE_FILE, type StateDir } from './identity/state-dir.ts';
import type { Token } from './identity/token.ts';

interface StoredContact {
  readonly id: string;
  readonly dhPk: string;
  readonly ip: string;
  readonly gossipPort: number;
}

export function writeContacts(state: StateDir, token: Token): void {
  const contacts = token.seeds.map(
    (s): StoredContact => ({
      id: toHex(nodeIdOf(s.signPk, s.dhPk)),
      dhPk: toHex(s.dhPk),
      ip: s.ip,
      gossipPort: s.gossipPort,
    }),
  );
  state.write(STATE_FILE.contacts, `${JSON.stringify(contacts, null, 2)}\n`);
}

const isContact = (c: StoredContact): boolean =>
  /^[0-9a-f]{64}$/.test(c?.id) &&
  /^[0-9a-f]{64}$/.test(c?.dhPk) &&
  canonicalIp(String(c?.ip)) !== null &&
  Number.isInteger(c?.gossipPort);

/** @throws WeftError E_STATE for a damaged file */
export function readContacts(state: StateDir): Contact[] {
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
  }));
}
