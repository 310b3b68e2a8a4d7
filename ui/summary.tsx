/** The head of the page: who this is, how it stands, what is wrong; and the facts of the host that was chosen. */
import type { PageReport } from '../agent/control/page-types.ts';
import type { Rates } from './model/rates.ts';
import { formatAge, formatBytes, formatLoss, formatRate, formatRtt } from './model/text.ts';

export function Summary({ report, rates }: { readonly report: PageReport; readonly rates: Rates }) {
  const { status } = report;
  const facts: readonly [string, string][] = [
    ['Peers', `${status.peers.up} of ${status.peers.total} up`],
    ['Members', `${status.members.alive} of ${status.members.total} alive`],
    ['Address', status.address ?? '–'],
    ['Segment', `${status.mode} ${status.encap}, VNI ${status.vni}, MTU ${status.mtu}`],
    ['Sending', formatRate(rates.all?.tx ?? 0)],
    ['Receiving', formatRate(rates.all?.rx ?? 0)],
    ['Up for', formatAge(status.uptimeMs)],
    ['Version', status.version],
  ];
  return (
    <>
      <Facts label="This host" facts={facts} />
      {[...status.problems, ...status.warnings].length > 0 && (
        <ul class="problems" aria-label="Problems and warnings" aria-live="polite">
          {status.problems.map((text) => (
            <li key={text} class="problem">
              {text}
            </li>
          ))}
          {status.warnings.map((text) => (
            <li key={text}>{text}</li>
          ))}
        </ul>
      )}
    </>
  );
}

export function HostFacts({
  name,
  report,
  rates,
}: {
  readonly name: string;
  readonly report: PageReport;
  readonly rates: Rates;
}) {
  const peer = report.peers.find((each) => each.name === name);
  const member = report.members.find((each) => each.name === name);
  const rate = rates.peers.get(name);
  const { status } = report;
  const facts: readonly [string, string][] = [
    ['Member', member === undefined ? 'no agent' : `${member.state}, incarnation ${member.incarnation}`],
    ['Address', peer?.address ?? member?.address ?? '–'],
    ['Endpoint', peer?.endpoint ?? member?.endpoint ?? '–'],
    ...(peer === undefined
      ? []
      : ([
          ['State', peer.reason === null ? peer.state : `${peer.state}: ${peer.reason}`],
          ['Path', peer.path === 'plain' ? 'plain' : `sealed, ${peer.path}`],
          ['Round trip', formatRtt(peer.rttMs)],
          ['Loss', formatLoss(peer.loss)],
          ['Path MTU', peer.pmtu === null ? 'not measured' : `${peer.pmtu} bytes`],
          ['Sending', `${formatRate(rate?.tx ?? 0)}, ${formatBytes(peer.txBytes)} in all`],
          ['Receiving', `${formatRate(rate?.rx ?? 0)}, ${formatBytes(peer.rxBytes)} in all`],
          ['Handshake', peer.lastHandshakeMs === null ? '–' : `${formatAge(peer.lastHandshakeMs)} ago`],
        ] as [string, string][])),
    ['Node', peer?.nodeId ?? member?.nodeId ?? '–'],
  ];
  return (
    <aside class="host" aria-label={`Host ${name}`}>
      <h2 aria-live="polite">{name === status.name ? `${name} (this host)` : name}</h2>
      <Facts label={`Host ${name}`} facts={facts} />
    </aside>
  );
}

function Facts({ label, facts }: { readonly label: string; readonly facts: readonly [string, string][] }) {
  return (
    <dl class="facts" aria-label={label}>
      {facts.map(([what, value]) => (
        <div key={what}>
          <dt>{what}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
