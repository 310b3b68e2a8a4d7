/** The tables of the page: peers with members that are none, the FDB, drops with their explanation, events. */
import { useEffect, useState } from 'preact/hooks';
import type { EventReport, FdbEntryReport } from '../agent/control/api-types.ts';
import type { PageFdbReport, PageReport } from '../agent/control/page-types.ts';
import { dropKey, type Rates } from './model/rates.ts';
import {
  formatAge,
  formatBytes,
  formatCount,
  formatLoss,
  formatRate,
  formatRtt,
  formatTime,
} from './model/text.ts';
import { askFdb } from './poll.ts';
import { type Column, Table } from './table.tsx';

const FDB_EVERY_MS = 2000;

type Peer = PageReport['peers'][number] & {
  readonly tx: number;
  readonly rx: number;
  readonly member: string;
};

const PEER_COLUMNS: readonly Column<Peer>[] = [
  { title: 'Host', value: ({ name }) => name },
  {
    title: 'State',
    value: ({ state }) => state,
    cell: ({ state }) => <span class={`state ${state}`}>{state}</span>,
  },
  { title: 'Member', value: ({ member }) => member },
  { title: 'Path', value: ({ path }) => path },
  { title: 'Address', value: ({ address }) => address },
  { title: 'Endpoint', value: ({ endpoint }) => endpoint },
  { title: 'RTT', value: ({ rttMs }) => rttMs, cell: ({ rttMs }) => formatRtt(rttMs), number: true },
  { title: 'Loss', value: ({ loss }) => loss, cell: ({ loss }) => formatLoss(loss), number: true },
  { title: 'Path MTU', value: ({ pmtu }) => pmtu, number: true },
  { title: 'Sending', value: ({ tx }) => tx, cell: ({ tx }) => formatRate(tx), number: true },
  { title: 'Receiving', value: ({ rx }) => rx, cell: ({ rx }) => formatRate(rx), number: true },
  {
    title: 'Sent',
    value: ({ txBytes }) => txBytes,
    cell: ({ txBytes }) => formatBytes(txBytes),
    number: true,
  },
  {
    title: 'Received',
    value: ({ rxBytes }) => rxBytes,
    cell: ({ rxBytes }) => formatBytes(rxBytes),
    number: true,
  },
  {
    title: 'Handshake',
    value: ({ lastHandshakeMs }) => lastHandshakeMs,
    cell: ({ lastHandshakeMs }) => formatAge(lastHandshakeMs),
    number: true,
  },
  { title: 'Why', value: ({ reason }) => reason, cell: ({ reason }) => reason ?? '' },
];

export function PeersTable({ report, rates }: { readonly report: PageReport; readonly rates: Rates }) {
  const states = new Map(report.members.map(({ nodeId, state }) => [nodeId, state])); // bounded by the report
  const rows = report.peers.map((peer): Peer => {
    const { tx = 0, rx = 0 } = rates.peers.get(peer.name) ?? {};
    return { ...peer, tx, rx, member: states.get(peer.nodeId ?? '') ?? '–' };
  });
  return (
    <Table
      caption="Peers"
      columns={PEER_COLUMNS}
      rows={rows}
      keyOf={({ name }) => name}
      order={{ column: 0, down: false }}
      classOf={({ state }) => (state === 'up' ? '' : 'bad')}
      empty="This host has no peers yet."
    />
  );
}

const FDB_COLUMNS: readonly Column<FdbEntryReport>[] = [
  { title: 'MAC', value: ({ mac }) => mac, cell: ({ mac }) => <code>{mac}</code> },
  { title: 'VNI', value: ({ vni }) => vni, number: true },
  { title: 'Behind', value: ({ peer }) => peer ?? 'this host' },
  {
    title: 'Last seen',
    value: ({ ageMs }) => ageMs,
    cell: ({ ageMs, static: fixed }) => (fixed ? 'static' : formatAge(ageMs)),
    number: true,
  },
];

/** Asked for only while it is looked at. */
export function FdbTable({ paused }: { readonly paused: boolean }) {
  const [find, setFind] = useState('');
  const [fdb, setFdb] = useState<PageFdbReport | null>(null);
  useEffect(() => {
    let ended = false;
    const look = (): void => {
      askFdb(find).then(
        (found) => ended || setFdb(found),
        () => undefined,
      );
    };
    look();
    const timer = paused ? 0 : window.setInterval(look, FDB_EVERY_MS);
    return () => {
      ended = true;
      window.clearInterval(timer);
    };
  }, [find, paused]);
  const entries = fdb?.entries ?? [];
  return (
    <Table
      caption="Forwarding database (FDB)"
      columns={FDB_COLUMNS}
      rows={entries}
      keyOf={({ vni, mac, peer }) => `${vni} ${mac} ${peer}`}
      order={{ column: 0, down: false }}
      empty={fdb === null ? 'Asking the agent.' : 'No MAC address is known yet.'}
      onFind={setFind}
      beyond={(fdb?.matching ?? 0) - entries.length}
    />
  );
}

type Drop = PageReport['drops'][number] & { readonly perSec: number };

const DROP_COLUMNS: readonly Column<Drop>[] = [
  { title: 'Reason', value: ({ reason }) => reason, cell: ({ reason }) => <code>{reason}</code> },
  { title: 'Direction', value: ({ direction }) => direction },
  { title: 'Dropped', value: ({ count }) => count, cell: ({ count }) => formatCount(count), number: true },
  {
    title: 'Per second',
    value: ({ perSec }) => perSec,
    cell: ({ perSec }) => formatCount(Math.round(perSec)),
    number: true,
  },
  { title: 'What it means', value: ({ why }) => why },
];

export function DropsTable({ report, rates }: { readonly report: PageReport; readonly rates: Rates }) {
  const rows = report.drops.map((drop): Drop => ({ ...drop, perSec: rates.drops.get(dropKey(drop)) ?? 0 }));
  return (
    <Table
      caption="Frames and datagrams that this host dropped since it started"
      columns={DROP_COLUMNS}
      rows={rows}
      keyOf={dropKey}
      order={{ column: 2, down: true }}
      classOf={({ perSec }) => (perSec > 0 ? 'bad' : '')}
      empty="Nothing was dropped."
    />
  );
}

const EVENT_COLUMNS: readonly Column<EventReport>[] = [
  {
    title: 'Time',
    value: ({ seq }) => seq,
    cell: ({ at }) => <time dateTime={new Date(at).toISOString()}>{formatTime(at)}</time>,
  },
  {
    title: 'Event',
    value: ({ type }) => type,
    cell: ({ type }) => <span class={`event ${type}`}>{type}</span>,
  },
  { title: 'About', value: ({ subject }) => subject },
  { title: 'What happened', value: ({ text }) => text },
];

export function EventsTable({ events }: { readonly events: readonly EventReport[] }) {
  return (
    <Table
      caption="Events, newest first"
      columns={EVENT_COLUMNS}
      rows={events}
      keyOf={({ seq }) => String(seq)}
      order={{ column: 0, down: true }}
      empty="Nothing has happened yet."
    />
  );
}
