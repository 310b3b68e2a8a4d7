/** docs/OPERATIONS.md, typed on a running mesh: what the verbs that only look promise. */
import assert from 'node:assert/strict';
import type { MeshPlace } from './install-chapter.ts';

/** A machine behind alpha, which may bridge. */
const GUEST_MAC = '02:5e:00:00:00:42';

export async function isItWell({ at: { alpha } }: MeshPlace): Promise<void> {
  await alpha.types('weft status', /^segment +vni 1, sealed vxlan$/m);
  const { rights } = await alpha.asks('weft status --json', ['v', 'name', 'state', 'rights', 'peers']);
  assert.ok(rights !== null);
  await alpha.types('weft members', /^beta +alive/m);
  await alpha.types('weft peers', /^NAME.* PMTU(.*\n)+beta .* up .* 1500 /m);
  await alpha.types('weft fdb', /^MAC.*\n/);
  await alpha.types('weft metrics', /^weft_dropped_frames_total\{/m);
}

export async function prometheus({ at: { alpha } }: MeshPlace): Promise<void> {
  await alpha.machine.ok('mkdir -p /etc/prometheus');
  await alpha.types('weft sd --out /etc/prometheus/weft-sd.json', /^$/);
  type Targets = { readonly targets: readonly string[] }[];
  const targets = (text: string): string[] => (JSON.parse(text) as Targets).flatMap((each) => each.targets);
  const written = await alpha.machine.read('/etc/prometheus/weft-sd.json');
  assert.deepEqual(targets(written), ['10.80.0.1:9586', '10.80.0.2:9586', '10.80.0.3:9586']);
  const underlay = await alpha.types('weft sd --underlay --port 9586', /^\[/);
  assert.deepEqual(targets(underlay), ['192.0.2.10:9586', '192.0.2.11:9586', '192.0.2.12:9586']);
}

export async function doctor({ at: { alpha } }: MeshPlace): Promise<void> {
  await alpha.types('weft doctor', /^ok +underlay/m);
  const report = await alpha.asks('weft doctor --json', ['v', 'failures', 'warnings', 'findings']);
  const [first] = report.findings as Record<string, unknown>[];
  assert.deepEqual(Object.keys(first ?? {}).sort(), ['check', 'fix', 'level', 'what']);
}

/** What takes ten seconds each, at once; and what is captured meanwhile, read by tshark. */
export async function pingDropsCapture({ at: { alpha, beta, stranger } }: MeshPlace): Promise<void> {
  const noise = 'for i in 1 2 3; do echo nonsense > /dev/udp/192.0.2.10/7947; done';
  await alpha.machine.ok(
    `ip link add link weft0 name guest0 address ${GUEST_MAC} type macvlan mode bridge && ip link set guest0 up &&
     ip address add 10.80.0.66/24 dev guest0 && ping -I guest0 -c 1 -W 3 10.80.0.2`,
  );
  const dropped = alpha.starts('weft capture dropped');
  await dropped.says(/capturing/);
  await stranger.machine.ok(noise);
  await dropped.says(/garbage/);
  assert.match(await dropped.interrupt(0), /[1-9]\d* packets, 0 lost/);
  await alpha.types('weft drops', /^REASON +DIRECTION(.*\n)+garbage +receive +\d+ /m);

  const file = alpha.starts('weft capture -w /tmp/weft.pcapng --duration 10s peer beta not port 22');
  await file.says(/capturing/);
  const drops = alpha.starts('weft drops --for 10s');
  const guest = beta.starts('weft ping 02:5e:00:00:00:42 --count 10');
  await alpha.types('weft ping beta', /^beta.* direct .*\n(?:\d {2}.*\n){3}3 sent, 3 came back, 0 % lost/);
  const full = await alpha.asks('weft ping beta --size 1500 --json', ['v', 'peer', 'received', 'rttMs']);
  assert.deepEqual([full.received, full.lossPercent], [3, 0]);
  await stranger.machine.ok(noise);
  assert.match(await guest.ends(0), /^alpha.*\n(?:.*\n)+10 sent, 10 came back, 0 % lost/);
  assert.match(await drops.ends(0), /^garbage +receive +\d+ /m);
  assert.match(await file.ends(0), /[1-9]\d* packets, 0 lost/);
  const filter = "tshark -X lua_script:docs/wireshark/weft.lua -r /tmp/weft.pcapng -Y 'weft.lane == 15'";
  await alpha.types(filter, /192\.0\.2\.1[01]/, { cwd: '/opt/weft' });
}

export async function captureAndTrace({ at: { alpha, beta } }: MeshPlace): Promise<void> {
  const piped = alpha.starts('weft capture -i inner -w - | tshark -r -');
  await piped.says(/capturing/);
  const ping = beta.machine.foreground('ping -i 0.2 10.80.0.1');
  await piped.says(/10\.80\.0\.2 . 10\.80\.0\.1 .*ICMP.*request/);
  await piped.interrupt(0);
  await alpha.machine.ok('weft capture -i inner -w lost.pcap --count 2');
  await ping.interrupt(0);
  await alpha.types('weft capture --help', /FILTER/);
  await alpha.types('weft trace 02:5e:00:00:00:01 02:5e:00:00:00:02', /forwarded|dropped/);
  await alpha.types(
    'weft trace 02:5e:00:00:00:01 02:5e:00:00:00:02 10.80.0.1 10.80.0.2 tcp 40000 443 --size 1400',
    /10\.80\.0\.1.*10\.80\.0\.2(.*\n)+.*(forwarded|dropped)/,
  );
  await alpha.types('weft trace --in beta 02:5e:00:00:00:02 ff:ff:ff:ff:ff:ff arp', /admit/);
  const { frames } = await alpha.asks('weft trace lost.pcap --json', ['v', 'frames']);
  const [frame, ...more] = frames as Record<string, unknown>[];
  assert.equal(more.length, 1);
  const keys = ['direction', 'summary', 'verdict', 'drops', 'copies', 'steps'];
  assert.deepEqual(
    keys.filter((key) => !Object.hasOwn(frame ?? {}, key)),
    [],
  );
}

export async function reload({ at: { alpha } }: MeshPlace): Promise<void> {
  const config = (level: string, limit: number): Promise<void> =>
    alpha.machine.write('/etc/weft/config.yaml', `log:\n  level: ${level}\nfdb:\n  limit: ${limit}\n`);
  await config('debug', 8192);
  await alpha.types('weft config check && weft reload', /log\.level/);
  await config('info', 4096);
  const report = await alpha.asks('weft reload --json', ['v', 'applied', 'needRestart']);
  assert.deepEqual([report.applied, report.needRestart], [['log.level'], ['fdb.limit']]);
}

/** Who is in the socket's group may ask, and root may see where a thread is. */
export async function socketAndThreads({ at: { alpha } }: MeshPlace): Promise<void> {
  await alpha.machine.ok('groupadd weft && useradd -G weft watcher && chmod 755 /run/weft');
  await alpha.types('chgrp weft /run/weft/weft.sock', /^$/);
  await alpha.machine.ok('runuser -u watcher -- weft status');
  const holder = "ss -Hlxp src /run/weft/weft.sock | grep -o 'pid=[0-9]*' | cut -d= -f2";
  const pid = (await alpha.machine.ok(holder)).trim();
  await alpha.types('cat /proc/PID/task/*/stack', /^\[<0>\] \w+/m, { fill: { PID: pid } });
}

export async function graph({ site, at: { alpha } }: MeshPlace): Promise<void> {
  await alpha.types('weft graph', /weft0(.*\n)+.*beta/);
  await alpha.types('weft graph --dot | dot -Tsvg > mesh.svg', /^$/);
  assert.match(await alpha.machine.read('/root/mesh.svg'), /<svg(.*\n)+.*beta/);
  const { edges } = await alpha.asks('weft graph --json', [
    'v',
    'host',
    'namespaces',
    'nodes',
    'edges',
    'warnings',
  ]);
  assert.ok((edges as unknown[]).length > 3, site.prefix);
}

export async function events({ at: { alpha } }: MeshPlace): Promise<void> {
  await alpha.types('weft events', / peer-up +beta /);
  const follow = alpha.starts('weft events --follow');
  await follow.says(/ peer-up +beta /);
  await follow.interrupt(null);
  await alpha.asks('weft events --after 41 --json', ['v', 'startedAt', 'lost', 'last', 'events']);
}

export async function page({ at: { alpha } }: MeshPlace): Promise<void> {
  await alpha.machine.write('/usr/local/bin/xdg-open', '#!/bin/sh\necho "$1" > /root/opened\n');
  await alpha.machine.ok('chmod +x /usr/local/bin/xdg-open');
  const opened = alpha.starts('weft ui --open');
  const [url = ''] = await opened.says(/http:\/\/127\.0\.0\.1:\d+\/\S+/);
  await alpha.machine.ok('until test -s /root/opened; do sleep 0.05; done', { timeoutMs: 5000 });
  assert.equal((await alpha.machine.read('/root/opened')).trim(), url);
  await opened.interrupt(0);
  const chosen = alpha.starts('weft ui --port 8088');
  await chosen.says(/http:\/\/127\.0\.0\.1:8088\//);
  await chosen.interrupt(0);
  const json = alpha.starts('weft ui --json');
  await json.says(/"url":\s*"http:/);
  const report = JSON.parse(await json.interrupt(0)) as Record<string, unknown>;
  assert.deepEqual(Object.keys(report), ['v', 'url']);
}

export async function bugreport({ at: { alpha } }: MeshPlace): Promise<void> {
  await alpha.types('weft bugreport', /weft-bugreport-.*\.tar\.gz/);
  assert.match(await alpha.machine.ok('stat -c %a /root/weft-bugreport-*.tar.gz'), /^600$/m);
  await alpha.machine.write('/root/agent.log', 'the end of a log\n');
  const fill = { FILE: '/root/report.tar.gz', 'AGENT.LOG': '/root/agent.log' };
  await alpha.types('weft bugreport --out FILE --log AGENT.LOG', /report\.tar\.gz/, { fill });
  assert.match(await alpha.machine.ok('tar -xzOf /root/report.tar.gz'), /the end of a log/);
}
