/**
 * `weft leave`: gives up name, address and certificate by a signed statement, and forgets the keys. Part of the composition root.
 */
import type { GossipNode } from '../gossip/index.ts';
import { WeftError } from './errors.ts';
import type { NodeIdentity } from './identity/node-identity.ts';
import { STATE_FILE, type StateDir } from './identity/state-dir.ts';
import type { GossipTrust } from './peer/gossip-trust.ts';

export interface LeaveParts {
  readonly identity: NodeIdentity;
  readonly trust: GossipTrust;
  readonly gossip: GossipNode;
  readonly state: StateDir;
}

/** What makes the directory a member's. */
const FORGOTTEN = [
  STATE_FILE.cert,
  STATE_FILE.admitter,
  STATE_FILE.signKey,
  STATE_FILE.dhKey,
  STATE_FILE.psk,
] as const;

/** @throws WeftError E_REFUSED on the host with the root */
export async function leaveForGood({ identity, trust, gossip, state }: LeaveParts): Promise<void> {
  if (identity.root !== null)
    throw new WeftError(
      'E_REFUSED',
      'this host holds the root of the mesh, which nobody could sign with any more: it cannot leave',
    );
  trust.release();
  await gossip.leave();
  for (const file of FORGOTTEN) state.remove(file);
}
