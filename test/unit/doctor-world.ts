/** A machine and an agent on which all is well, for the tests of `weft doctor` to spoil in one place. */
import type { Examination, Running } from '../../agent/cli/doctor/examination.ts';
import { configSchema } from '../../agent/config/schema.ts';
import type { PeerReport, StatusReport } from '../../agent/control/api-types.ts';
import type { Link } from '../../agent/host/links.ts';
import { parseRuleset } from '../../agent/host/nft-ruleset.ts';

export const NOW_MS = 1_800_000_000_000;

/** Rights of an agent as it should be. */
export const HELD: NonNullable<Examination['rights']> = {
  of: 'agent',
  held: new Set(['NET_ADMIN']),
  others: 0,
  boundsOthers: 0,
  noNewPrivileges: true,
};

export const PEER: PeerReport = {
  name: 'beta',
  address: '10.80.0.2/24',
  endpoint: '192.0.2.2:7947',
  state: 'up',
  path: 'direct',
  loss: 0,
  rttMs: 0.3,
  pmtu: null,
  txBytes: 0,
  rxBytes: 0,
  lastHandshakeMs: 1000,
  txPackets: 0,
  rxPackets: 0,
  nodeId: 'ab'.repeat(32),
  reason: null,
  seenAs: '192.0.2.1:7947',
};

export function link(name: string, more: Partial<Link> = {}): Link {
  return {
    index: 2,
    name,
    kind: null,
    mtuBytes: 1500,
    up: true,
    carrier: true,
    loopback: false,
    mac: '02:00:00:00:00:09',
    master: null,
    lower: null,
    lowerIndex: null,
    lowerElsewhere: false,
    lowerNetnsId: null,
    remotes: [],
    vni: null,
    tunType: null,
    addresses: [],
    ...more,
  };
}

export const ETH0 = link('eth0', { addresses: [{ ip: '192.0.2.1', prefixLength: 24, scope: 'global' }] });
export const WEFT0 = link('weft0', {
  index: 3,
  kind: 'tun',
  tunType: 'tap',
  mtuBytes: 1390,
  addresses: [{ ip: '10.80.0.1', prefixLength: 24, scope: 'global' }],
});

const STATUS: StatusReport = {
  v: 1,
  name: 'alpha',
  mesh: 'demo',
  address: '10.80.0.1/24',
  tap: 'weft0',
  mac: '02:00:00:00:00:01',
  mtu: 1390,
  mode: 'sealed',
  encap: 'vxlan',
  vni: 1,
  state: 'up',
  uptimeMs: 1000,
  version: '0.1.0',
  nodeId: 'cd'.repeat(32),
  endpoint: '192.0.2.1:7947',
  peers: { up: 1, total: 1 },
  members: { alive: 2, total: 2 },
  admitter: true,
  offloads: [],
  workers: 1,
  nice: -10,
  rights: { user: 0, capabilities: ['NET_ADMIN'], bounded: true, noNewPrivileges: true, coreDumps: false },
  problems: [],
  warnings: [],
};

export const RUNNING: Running = {
  status: STATUS,
  peers: [PEER],
  metrics: [
    {
      name: 'weft_identity_expiry_timestamp_seconds',
      type: 'gauge',
      help: '',
      values: [{ name: 'x', labels: {}, value: NOW_MS / 1000 + 30 * 86_400 }],
    },
  ],
};

export function healthy(more: Partial<Examination> = {}): Examination {
  return {
    config: configSchema.parse({}),
    configError: null,
    socket: '/run/weft/weft.sock',
    running: RUNNING,
    agentError: null,
    isMember: true,
    kernelRelease: '6.1.0-18-amd64',
    tun: 'ok',
    rights: HELD,
    receiveMaxBytes: 8_388_608,
    sendMaxBytes: 8_388_608,
    links: [ETH0, WEFT0],
    underlayIp: '192.0.2.1',
    underlay: {
      link: ETH0,
      offloads: new Map([
        ['generic-receive-offload', true],
        ['generic-segmentation-offload', true],
        ['tx-checksumming', true],
        ['tx-udp-segmentation', true],
      ]),
      srIov: null,
      rpFilter: 0,
    },
    routes: [
      {
        peer: 'beta',
        ip: '192.0.2.2',
        route: { device: 'eth0', source: '192.0.2.1', gateway: null, mtuBytes: null },
      },
    ],
    sockets: [
      {
        ip: '192.0.2.1',
        port: 7947,
        receiveBufferBytes: 8_388_608,
        sendBufferBytes: 4_194_304,
        drops: 0,
        program: 'node',
        pid: 7,
      },
    ],
    checksumErrors: 0,
    ruleset: parseRuleset([]),
    legacyTables: [],
    ports: [
      { port: 7947, what: 'sealed' },
      { port: 7946, what: 'membership' },
    ],
    nowMs: NOW_MS,
    stateTimeMs: NOW_MS - 1000,
    synchronised: true,
    checksumTest: null,
    ...more,
  };
}
