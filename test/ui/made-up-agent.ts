/** An agent with as many peers as wanted and a full FDB, whose numbers grow with the time: for what only size shows. */
import { pageFdb } from '../../agent/agent-page.ts';
import type { AgentView, PeerReport, StatusReport } from '../../agent/control/api-types.ts';

const FDB_ENTRIES = 65_536;

export function madeUpAgent(hosts: number): Pick<AgentView, 'page' | 'pageFdb'> {
  const startMs = performance.now();
  const names = Array.from({ length: hosts }, (_, i) => `host-${String(i + 1).padStart(3, '0')}`);
  const [self = '', ...others] = names;
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
  const nodeId = (i: number): string => hex(i, 64);
  const peer = (name: string, i: number, sec: number): PeerReport => {
    const down = i % 25 === 24;
    return {
      name,
      address: `10.80.0.${i + 2}/16`,
      endpoint: `192.0.2.${i + 2}:7947`,
      state: down ? 'down' : i % 40 === 7 ? 'handshaking' : 'up',
      path: 'direct',
      rttMs: down ? null : Math.round(((i % 13) + Math.abs(Math.sin(sec))) * 100) / 100,
      loss: i % 9 === 0 ? 0.031 : 0,
      pmtu: 1500 - (i % 3) * 40,
      txBytes: Math.round(sec * 1000 * i * i),
      rxBytes: Math.round(sec * 700 * i * i),
      lastHandshakeMs: (i * 997) % 120_000,
      txPackets: Math.round(sec * i),
      rxPackets: Math.round(sec * i),
      nodeId: nodeId(i + 1),
      reason: down ? 'no answer' : null,
      seenAs: '192.0.2.1:7947',
    };
  };
  const status: StatusReport = {
    v: 1,
    name: self,
    mesh: 'large',
    address: '10.80.0.1/16',
    tap: 'weft0',
    mac: '02:00:00:00:00:01',
    mtu: 1390,
    mode: 'sealed',
    encap: 'vxlan',
    vni: 1,
    state: 'up',
    uptimeMs: 1_000_000,
    version: '0.1.0',
    nodeId: nodeId(0),
    endpoint: '192.0.2.1:7947',
    peers: { up: hosts - 10, total: hosts - 1 },
    members: { alive: hosts, total: hosts },
    admitter: true,
    offloads: [],
    workers: 1,
    rights: { user: 0, capabilities: ['NET_ADMIN'], bounded: true, noNewPrivileges: true, coreDumps: false },
    nice: -10,
    problems: [],
    warnings: [],
  };
  const fdb = Array.from({ length: FDB_ENTRIES }, (_, i) => ({
    mac: `02:00:00:00:${hex(i >> 8, 2)}:${hex(i & 255, 2)}`,
    vni: 1,
    peer: others[i % others.length] ?? null,
    ageMs: i,
    static: false,
    ...{ frozen: false, frozenMs: null, rival: null },
    suspended: false,
  }));
  return {
    async page() {
      const sec = (performance.now() - startMs) / 1000;
      const peers = others.map((name, i) => peer(name, i, sec));
      return {
        v: 1,
        at: Date.now(),
        status,
        peers,
        members: names.map((name, i) => ({
          name,
          state: 'alive',
          incarnation: 1,
          address: null,
          endpoint: null,
          nodeId: nodeId(i),
          self: i === 0,
          admitter: i === 0,
          quarantined: false,
        })),
        drops: [],
        traffic: { txFrames: 0, rxFrames: 0, txBytes: Math.round(sec * 1e7), rxBytes: Math.round(sec * 3e6) },
        events: { v: 1, startedAt: 1, lost: 0, last: 0, events: [] },
      };
    },
    pageFdb: (find) => pageFdb(fdb, find),
  };
}
