/** Checks of the agent: configuration, control socket, ports, drops of its sockets, peers. */
import { formatBytes } from '../print.ts';
import type { Examination } from './examination.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

export function checkConfig({ configError }: Examination): Finding {
  if (configError === null) return ok('config', 'no mistake in it');
  return fail('config', configError, 'correct it; `weft config check` looks again');
}

export function checkSocket(x: Examination): Finding {
  const { running, agentError, isMember, socket } = x;
  if (running !== null) {
    const { name, mesh, state, version } = running.status;
    return ok('agent', `${name} in mesh ${mesh} is ${state}, version ${version}`);
  }
  if (agentError?.code === 'E_PRIVILEGE')
    return fail('agent', `${socket} may not be opened`, "run as root, or join the socket's group");
  if (agentError?.code === 'E_TIMEOUT')
    return fail('agent', `the agent at ${socket} does not answer`, 'look at its log, then restart it');
  if (isMember)
    return fail(
      'agent',
      `this host is a member, and no agent answers at ${socket}`,
      'weft run, or systemctl start weft; its log says why it ended',
    );
  return warn('agent', `no agent answers at ${socket}`, '`weft init` or `weft up` makes this host a member');
}

/** Ports that other programs hold while no agent runs, and drops while one does. */
export function checkSockets(x: Examination): Finding[] {
  if (x.sockets === null) return [warn('sockets', 'they cannot be listed', 'install iproute2 (ss)')];
  const ours = x.sockets.filter(({ port }) => x.ports.some((own) => own.port === port));
  if (x.running === null) {
    const taken = ours.filter(({ ip }) => overlaps(ip, x.underlayIp));
    const named = ({ program }: { program: string | null }): string =>
      program === null ? 'another program' : `program ${program}`;
    return taken.map((socket) =>
      fail(
        'ports',
        `UDP ${socket.port} is held by ${named(socket)}`,
        'stop it, or move weft with `underlay` and `gossip_port`',
      ),
    );
  }
  const full = ours.filter(({ drops }) => drops > 0);
  if (full.length === 0) return [ok('sockets', 'none has dropped a datagram')];
  return full.map(({ port, drops, receiveBufferBytes }) =>
    warn(
      'sockets',
      `UDP ${port} has dropped ${drops} datagrams because its buffer of ${formatBytes(receiveBufferBytes)} was full`,
      'raise udp.receive_buffer_bytes, or give the host more CPU',
    ),
  );
}

const ANY = ['0.0.0.0', '::', '*'];
const overlaps = (ip: string, ours: string | null): boolean =>
  ANY.includes(ip) || ours === null || ip === ours;

export function checkPeers({ running }: Examination): Finding[] {
  if (running === null) return [];
  const { status, peers } = running;
  const problems = [
    ...status.problems.map((problem) => fail('health', problem, 'weft status; the log of the agent')),
    ...status.warnings.map((warning) => warn('health', warning, 'weft status; docs/OPERATIONS.md')),
  ];
  const down = peers.filter(({ state }) => state !== 'up');
  if (peers.length === 0) return [...problems, ok('peers', 'there is no other host yet')];
  if (down.length === 0) return [...problems, ok('peers', `${peers.length} of ${peers.length} up`)];
  const names = down.slice(0, 3).map(({ name, reason }) => (reason === null ? name : `${name} (${reason})`));
  const what = `${peers.length - down.length} of ${peers.length} up; not ${names.join(', ')}${down.length > 3 ? ', ...' : ''}`;
  const judge = down.length === peers.length ? fail : warn;
  return [
    ...problems,
    judge('peers', what, 'see that they run and that UDP reaches them both ways: weft doctor there'),
  ];
}

/** Share of the table from which new addresses begin to push out old ones. */
const NEARLY_FULL = 0.9;

/** Room for addresses: a full table is no error of the agent, and floods what it forgets. */
export function checkFdb({ running }: Examination): Finding[] {
  if (running === null) return [];
  const total = (name: string): number =>
    running.metrics
      .find((metric) => metric.name === name)
      ?.values.reduce((sum, { value }) => sum + value, 0) ?? 0;
  const entries = total('weft_fdb_entries');
  const limit = total('weft_fdb_limit');
  const evictions = total('weft_fdb_evictions_total');
  const refused = total('weft_fdb_not_learned_total');
  const whose = '`weft fdb` says behind whom they are';
  if (refused > 0)
    return [
      warn(
        'fdb',
        `a peer has more addresses than fdb.per_peer_limit: ${refused} frames came from one that was not learned`,
        `raise fdb.per_peer_limit, or find who invents addresses: ${whose}`,
      ),
    ];
  if (evictions > 0 || entries > limit * NEARLY_FULL)
    return [
      warn(
        'fdb',
        `the address table holds ${entries} of ${limit}, and ${evictions} addresses had to give way: their frames are flooded`,
        `raise fdb.limit, or find who invents addresses: ${whose}`,
      ),
    ];
  return [ok('fdb', `${entries} of ${limit} addresses`)];
}
