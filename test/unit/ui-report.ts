/** Reports for the tests of the web page's own functions: an agent `alpha` with peers as given. */
import type { MemberReport, PeerReport } from '../../agent/control/api-types.ts';
import type { PageReport } from '../../agent/control/page-types.ts';
import { FakeAgent } from './control-fake-agent.ts';

export function peerNamed(name: string, change: Partial<PeerReport> = {}): PeerReport {
  const [first] = new FakeAgent().peers().peers;
  if (first === undefined) throw new Error('the fake agent has no peer');
  return { ...first, name, nodeId: `id-${name}`, ...change };
}

export function memberNamed(name: string, change: Partial<MemberReport> = {}): MemberReport {
  const facts = { state: 'alive', incarnation: 1, address: null, endpoint: null, self: false } as const;
  return { ...facts, admitter: false, quarantined: false, name, nodeId: `id-${name}`, ...change };
}

export function report(change: Partial<PageReport> = {}): PageReport {
  return {
    v: 1,
    at: 1_000_000,
    status: new FakeAgent().status(),
    peers: [],
    members: [memberNamed('alpha', { self: true })],
    drops: [],
    traffic: { txFrames: 0, rxFrames: 0, txBytes: 0, rxBytes: 0 },
    events: { v: 1, startedAt: 1, lost: 0, last: 0, events: [] },
    ...change,
  };
}
