/**
 * What an admitter on this host may know of the other members: names, keys and addresses in use. Part of the composition
 * root.
 */
import type { GossipNode } from '../gossip/index.ts';
import { isReleased, keyHolder } from './agent-view.ts';
import type { MeshView } from './identity/admitter.ts';
import type { NodeIdentity } from './identity/node-identity.ts';
import { fromHex } from './identity/sodium.ts';
import type { PeerTable } from './peer/peer-table.ts';

/** @param gossip asked only while the agent runs: it is built after this */
export function admittersView(identity: NodeIdentity, peers: PeerTable, gossip: () => GossipNode): MeshView {
  return {
    nameHolder: (name) =>
      name === identity.cert.name
        ? identity.cert.nodeIdHex
        : (peers.members().find((p) => p.name === name)?.id ?? null),
    keyHolder: (signPk, dhPk) => keyHolder(peers, signPk, dhPk),
    addressInUse: (vni, ip) =>
      identity.cert.addresses.some((a) => a.vni === vni && a.prefix.ip === ip) ||
      peers.members().some((p) => p.address?.split('/')[0] === ip),
    // Whom the mesh put out holds nothing any more.
    isReleased: (nodeId) =>
      identity.trust.revocations.holds('node', fromHex(nodeId)) ||
      isReleased(gossip(), identity.meshId, nodeId),
  };
}
