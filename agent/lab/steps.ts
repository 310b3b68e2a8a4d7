/**
 * What the lab shows, in order. Each step does one thing on the real mesh and returns the sentence that is now proven, or
 * throws a WeftError that says what was not true. Called by lab.ts.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MembersReport } from '../control/api-types.ts';
import { showMetrics, showTable } from './excerpts.ts';
import { Probe } from './probe-client.ts';
import { firstHost, type Lab, lastHost } from './setting.ts';
import { pingPairs, reach, searchUnderlay, transfer } from './traffic.ts';
import { until } from './wait.ts';

export interface Step {
  readonly title: string;
  run(lab: Lab): Promise<string>;
}

const OVERLAY = '10.80.0.1/24';
/** Hosts that join side by side: an admitter takes five a second with one token. */
const JOIN_WAVE = 4;
const CONVERGE_MS = 20_000;
/** Acceptance of the issue: a dead host is seen within 15 s, its return within 10 s. */
const DEATH_MS = 15_000;
const RETURN_MS = 10_000;

export const STEPS: readonly Step[] = [
  { title: 'underlay', run: buildUnderlay },
  { title: 'first host', run: startFirst },
  { title: 'join', run: joinOthers },
  { title: 'members', run: checkMembers },
  { title: 'peers', run: checkPeers },
  { title: 'ping', run: pingPairs },
  { title: 'tcp', run: transfer },
  { title: 'privacy', run: searchUnderlay },
  { title: 'metrics', run: showMetrics },
  { title: 'crash', run: crashOne },
  { title: 'return', run: restartOne },
];

async function buildUnderlay(lab: Lab): Promise<string> {
  await lab.topology.create();
  lab.probes.push(...lab.topology.namespaces().map((namespace) => Probe.start(namespace)));
  return `${lab.hosts.length} hosts, each in its own subnet, one router between them`;
}

async function startFirst(lab: Lab): Promise<string> {
  const host = firstHost(lab);
  await host.weftOk(['init', '--name', host.name, '--address', OVERLAY, '--underlay', host.node.address], {
    signal: lab.signal,
  });
  host.start(['run']);
  const status = await host.ready(lab.signal);
  return `${status.name} made mesh ${status.mesh}, ${status.mode} ${status.encap}, ${status.address} on ${status.tap}`;
}

async function joinOthers(lab: Lab): Promise<string> {
  const others = lab.hosts.slice(1);
  const uses = String(others.length);
  const token = await firstHost(lab).weftOk(['token', 'create', '--ttl', '10m', '--uses', uses], {
    signal: lab.signal,
  });
  const tokenFile = join(lab.folder, 'token');
  writeFileSync(tokenFile, token, { mode: 0o600 });
  for (let at = 0; at < others.length; at += JOIN_WAVE) {
    const wave = others.slice(at, at + JOIN_WAVE);
    for (const host of wave) {
      host.start(['up', '--token-file', tokenFile, '--name', host.name, '--underlay', host.node.address]);
    }
    for (const host of wave) await host.ready(lab.signal);
  }
  return `${others.length} ${others.length === 1 ? 'host' : 'hosts'} joined with one token of ${uses} uses`;
}

async function checkMembers(lab: Lab): Promise<string> {
  const count = lab.hosts.length;
  const alive = (members: MembersReport['members']): boolean =>
    members.filter((member) => member.state === 'alive').length === count;
  for (const host of lab.hosts) {
    const options = { timeoutMs: CONVERGE_MS, signal: lab.signal };
    await until(`${count} members at ${host.name}`, options, async () =>
      alive(await host.members()) ? true : null,
    );
  }
  await showTable(lab, firstHost(lab), 'members');
  return `every host knows all ${count} as alive`;
}

async function checkPeers(lab: Lab): Promise<string> {
  const count = lab.hosts.length - 1;
  for (const host of lab.hosts) {
    const options = { timeoutMs: CONVERGE_MS, signal: lab.signal };
    await until(`${count} peers at ${host.name}`, options, async () =>
      (await host.peers()).filter((peer) => peer.state === 'up').length === count ? true : null,
    );
  }
  await showTable(lab, firstHost(lab), 'peers');
  return 'every pair of hosts has a session';
}

async function crashOne(lab: Lab): Promise<string> {
  const victim = lastHost(lab);
  const watcher = firstHost(lab);
  await victim.kill();
  const options = { timeoutMs: DEATH_MS, signal: lab.signal };
  await until(`death of ${victim.name} in the members of ${watcher.name}`, options, async () =>
    (await watcher.stateOf(victim.name)) === 'dead' ? true : null,
  );
  return `${victim.name} was killed; ${watcher.name} has noticed`;
}

async function restartOne(lab: Lab): Promise<string> {
  const host = lastHost(lab);
  const watcher = firstHost(lab);
  host.start(['run']);
  const options = { timeoutMs: RETURN_MS, signal: lab.signal };
  await until(`return of ${host.name}`, options, async () =>
    (await watcher.stateOf(host.name)) === 'alive' ? true : null,
  );
  await host.ready(lab.signal);
  await reach(lab, host, options);
  return `${host.name} is back without a token and answers`;
}
