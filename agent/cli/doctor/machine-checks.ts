/** Checks of the machine itself: kernel, rights, buffers, clock. Pure: an examination in, findings out. */
import { formatAge, formatBytes } from '../print.ts';
import type { Examination } from './examination.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

/** UDP_SEGMENT came with 4.18; below it batches cannot be sent. */
const LEAST_KERNEL = [4, 18] as const;
/** UDP_GRO came with 5.0. */
const GOOD_KERNEL = [5, 0] as const;
/** State is written at least this often, and clocks are never set more finely. */
const CLOCK_BACK_MS = 60_000;
const EXPIRY_WARN_MS = 3 * 86_400_000;

export function checkKernel({ kernelRelease: release }: Examination): Finding {
  const [major = 0, minor = 0] = (release ?? '').split('.').map((part) => Number.parseInt(part, 10));
  const older = ([a, b]: readonly [number, number]): boolean => major < a || (major === a && minor < b);
  if (release === null) return warn('kernel', 'its version cannot be read', 'mount /proc');
  if (older(LEAST_KERNEL)) return fail('kernel', `Linux ${release} is too old`, 'run Linux 5.0 or later');
  if (older(GOOD_KERNEL))
    return warn('kernel', `Linux ${release} has no UDP_GRO`, 'run Linux 5.0 or later for speed');
  return ok('kernel', `Linux ${release}`);
}

export function checkTun({ tun, running, rights }: Examination): Finding {
  const allow = 'run as root, or allow the device (container: --device /dev/net/tun)';
  switch (tun) {
    case 'ok':
      return ok('tun', '/dev/net/tun opens');
    case 'missing':
      return fail('tun', '/dev/net/tun is missing', 'modprobe tun, or pass the device into the container');
    case 'denied':
      // A person without the right may ask about an agent that has it.
      if (running !== null) return ok('tun', 'the agent has its TAP');
      if (rights?.held.has('NET_ADMIN') === true) return fail('tun', '/dev/net/tun may not be opened', allow);
      return warn('tun', 'this user may not open /dev/net/tun', allow);
    case 'no-driver':
      return fail(
        'tun',
        '/dev/net/tun has no driver behind it',
        'modprobe tun, or use a kernel with CONFIG_TUN',
      );
  }
}

export function checkRights({ rights }: Examination): Finding {
  if (rights === null) return warn('rights', 'capabilities cannot be read', 'mount /proc');
  if (rights.of === 'agent' && (rights.others > 0 || !rights.noNewPrivileges))
    return warn(
      'rights',
      'the agent holds rights that it does not need',
      'it is of an older version: restart it',
    );
  if (rights.held.has('NET_ADMIN')) {
    const alone = rights.of === 'agent' ? ' and nothing that it does not need, in all its threads' : '';
    return ok('rights', `${rights.of} has CAP_NET_ADMIN${alone}`);
  }
  const fix = 'run as root or with AmbientCapabilities=CAP_NET_ADMIN';
  if (rights.of === 'agent') return fail('rights', 'the agent has no CAP_NET_ADMIN', fix);
  return warn('rights', 'this user has no CAP_NET_ADMIN, which an agent needs and some checks too', fix);
}

/** A worker that waits for a core is no fault, yet where frames are late under load this is what to change. */
export function checkPriority({ running }: Examination): Finding[] {
  if (running === null) return [];
  const { nice } = running.status;
  if (nice < 0) return [ok('priority', `the agent goes before other programs (nice ${nice})`)];
  const how = 'start it with CAP_SYS_NICE, or from a unit with Nice=-10, to have it go before them';
  return [ok('priority', `frames wait while other programs use all cores (nice ${nice}): ${how}`)];
}

export function checkBuffers(x: Examination): Finding {
  const { receiveBufferBytes: wanted, sendBufferBytes: wantedSend } = x.config.udp;
  const open = x.running === null ? [] : (x.sockets ?? []).filter(({ port }) => x.ports[0]?.port === port);
  const [socket] = open;
  const sysctl = `sysctl -w net.core.rmem_max=${wanted} net.core.wmem_max=${wantedSend}, then restart the agent`;
  if (socket !== undefined) {
    const granted = `receive buffer ${formatBytes(socket.receiveBufferBytes)}`;
    if (socket.receiveBufferBytes >= wanted) return ok('udp-buffers', granted);
    return warn('udp-buffers', `${granted}, ${formatBytes(wanted)} wanted`, sysctl);
  }
  const { receiveMaxBytes: receiveMax, sendMaxBytes: sendMax } = x;
  if (x.rights?.held.has('NET_ADMIN'))
    return ok('udp-buffers', 'CAP_NET_ADMIN sets them above net.core.rmem_max');
  if (receiveMax === null || sendMax === null)
    return ok('udp-buffers', 'net.core.rmem_max is that of the machine, not shown in this network namespace');
  if (receiveMax >= wanted && sendMax >= wantedSend)
    return ok(
      'udp-buffers',
      `net.core.rmem_max ${formatBytes(receiveMax)}, wmem_max ${formatBytes(sendMax)}`,
    );
  return warn(
    'udp-buffers',
    `net.core.rmem_max ${formatBytes(receiveMax)} and wmem_max ${formatBytes(sendMax)}, ${formatBytes(wanted)} and ${formatBytes(wantedSend)} wanted`,
    sysctl,
  );
}

export function checkChecksums({ checksumTest, checksumErrors }: Examination): Finding[] {
  const own =
    checksumTest === null
      ? ok('checksum', 'unfinished inner checksums come out right')
      : fail(
          'checksum',
          checksumTest,
          'reinstall weft for this machine; ethtool -K lo tx off if loopback breaks them',
        );
  if (checksumErrors === null || checksumErrors === 0) return [own];
  const seen = `${checksumErrors} UDP datagrams arrived with a wrong checksum since boot`;
  return [
    own,
    warn(
      'checksum',
      seen,
      'on the hosts that send: ethtool -K DEVICE tx-checksum-ip-generic off; or a bad cable or switch',
    ),
  ];
}

export function checkClock(x: Examination): Finding[] {
  const findings: Finding[] = [];
  const set = 'set the clock and run a time daemon (chrony)';
  const behindMs = (x.stateTimeMs ?? 0) - x.nowMs;
  if (behindMs > CLOCK_BACK_MS)
    findings.push(
      fail('clock', `the clock is ${formatAge(behindMs)} behind this host's own state files`, set),
    );
  // A peer's certificate that seems not to have begun, or to have ended, is the peers' view of this clock.
  const doubted = (x.running?.peers ?? []).filter(({ reason }) =>
    /certificate of .* (starts|expired) at/.test(reason ?? ''),
  );
  for (const { name, reason } of doubted.slice(0, 1))
    findings.push(
      fail(
        'clock',
        `the certificate of ${name} does not hold by this clock: ${reason}`,
        `${set}, there and here`,
      ),
    );
  if (x.synchronised === false)
    findings.push(
      warn('clock', 'the time daemon has not synchronised the clock', 'chronyc sources, or timedatectl'),
    );
  if (findings.length === 0) {
    const who =
      x.synchronised === true ? 'synchronised' : 'not behind its own state; no time daemon was found';
    findings.push(ok('clock', who));
  }
  const expirySec = metricOf(x, 'weft_identity_expiry_timestamp_seconds');
  if (expirySec === null) return findings;
  const leftMs = expirySec * 1000 - x.nowMs;
  const join = 'see Expiry in docs/OPERATIONS.md';
  if (leftMs <= 0)
    findings.push(
      fail('certificate', `ended ${formatAge(-leftMs)} ago by this clock`, `check the clock, then ${join}`),
    );
  else if (leftMs < EXPIRY_WARN_MS) findings.push(warn('certificate', `ends in ${formatAge(leftMs)}`, join));
  else findings.push(ok('certificate', `ends in ${formatAge(leftMs)}`));
  return findings;
}

/** The only series of a metric; null when the agent does not run. */
function metricOf({ running }: Examination, name: string): number | null {
  return running?.metrics.find((metric) => metric.name === name)?.values[0]?.value ?? null;
}
