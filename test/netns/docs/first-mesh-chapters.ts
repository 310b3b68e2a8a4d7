/** docs/OPERATIONS.md, typed: configuring, the first mesh, its admitters and its policy. */
import assert from 'node:assert/strict';
import { until } from '../../../agent/lab/wait.ts';
import type { Foreground } from './foreground.ts';
import type { MeshPlace } from './install-chapter.ts';

/** Agents that stay in the foreground. */
export interface Agents {
  readonly alpha: Foreground;
  readonly beta: Foreground;
}

export async function configuration({ at: { alpha } }: MeshPlace): Promise<void> {
  await alpha.types('weft config check', /right|valid|ok/i);
  await alpha.machine.write('/root/other.yaml', 'log:\n  level: loud\n');
  const wrong = { fill: { FILE: '/root/other.yaml' }, status: 78 };
  await alpha.types('weft --config FILE config check', /other\.yaml:2:\d+: /, wrong);
  const shown = await alpha.types('weft config show', /^ *level: info/m);
  // The text is itself a valid file.
  await alpha.machine.write('/root/other.yaml', shown);
  await alpha.types('weft --config FILE config check', /right|valid|ok/i, {
    fill: { FILE: '/root/other.yaml' },
  });
  await alpha.types('weft config schema > weft.schema.json', /^$/);
  const schema = JSON.parse(await alpha.machine.read('/root/weft.schema.json')) as Record<string, unknown>;
  assert.equal(schema.type, 'object');
}

/** The agents stay in the foreground of alpha and beta. */
export async function firstMesh({ at: { alpha, beta, gamma } }: MeshPlace): Promise<Agents> {
  await alpha.types('weft init --name alpha --address 10.80.0.1/24', /mesh/);
  const first = alpha.starts('weft run');
  await alpha.machine.ready();
  const fill = { FILE: '/root/token' };
  await alpha.types('weft token create --ttl 1h --uses 5 --out FILE', /\/root\/token/, { fill });
  const token = await alpha.machine.read('/root/token');
  for (const host of [beta, gamma]) await host.machine.write('/root/token', token);
  const second = beta.starts('weft up --token-file FILE --name beta', { fill });
  // Addresses are given in the order of admission, and the documents name them.
  await beta.machine.ready();
  await gamma.machine.leave('weft up --token-file /root/token --name gamma &');
  await gamma.machine.ready();
  await alpha.machine.meets('beta', 'gamma');
  await beta.machine.meets('alpha', 'gamma');
  for (const line of ['weft token create --allow bridge', 'weft token create --node-life 7d'])
    await alpha.types(line, /^weft1_/);
  return { alpha: first, beta: second };
}

export async function admitters({ at: { alpha, beta } }: MeshPlace): Promise<void> {
  await alpha.types('weft admitter add beta', /beta/);
  await until('the right to admit', { timeoutMs: 10_000 }, async () => {
    const { admitter } = await beta.machine.api.get<{ admitter: boolean }>('/v1/status');
    return admitter ? true : null;
  });
  await beta.types('weft admitter list', /^alpha(.*\n)+beta/m);
  const fill = { FILE: '/root/each' };
  await alpha.types('weft token create --count each --uses 5 --out FILE', /\/root\/each/, { fill });
  await alpha.types('weft admitter remove beta', /beta/);
  await until('the end of it', { timeoutMs: 10_000 }, async () => {
    const { admitter } = await beta.machine.api.get<{ admitter: boolean }>('/v1/status');
    return admitter ? null : true;
  });
}

async function segmentIs(place: MeshPlace, what: string): Promise<void> {
  for (const { machine } of [place.at.alpha, place.at.beta])
    await until(`${what} at ${machine.name}`, { timeoutMs: 20_000 }, async () =>
      (await machine.run('weft status')).out.includes(what) ? true : null,
    );
}

export async function policy(place: MeshPlace): Promise<void> {
  const { alpha, beta } = place.at;
  await alpha.types('weft policy show', /node life|30d/i);
  await alpha.types('weft policy set --node-life 7d --leeway 5m', /policy/);
  await alpha.types('weft policy show', /7d/);
  await alpha.types('weft policy set --suite chacha20-poly1305', /policy/);
  await until('the policy at beta', { timeoutMs: 10_000 }, async () =>
    (await beta.machine.ok('weft policy show')).includes('chacha20-poly1305') ? true : null,
  );
  // The word that plain frames need on each host, from its next start on.
  for (const { machine } of [alpha, beta]) await machine.write('/etc/weft/config.yaml', 'allow_plain: [1]\n');
}

/** gamma leaves; the two others stop on Ctrl-C and come back with the policy's word for plain frames in their configuration. */
export async function leavingAndStopping(place: MeshPlace, agents: Agents): Promise<Agents> {
  const { alpha, beta, gamma } = place.at;
  await gamma.types('weft leave', /gamma has left the mesh/);
  await gamma.machine.gone();
  await alpha.machine.ok('until weft members | grep -q "^gamma .*left"; do sleep 0.1; done', {
    timeoutMs: 10_000,
  });
  await agents.beta.interrupt(0);
  await alpha.machine.ok('until weft members | grep -q "^beta .*left"; do sleep 0.1; done', {
    timeoutMs: 10_000,
  });
  await agents.alpha.interrupt(0);
  const [first, second] = [alpha.starts('weft run'), beta.starts('weft run')];
  await alpha.machine.meets('beta');
  await beta.machine.meets('alpha');
  return { alpha: first, beta: second };
}

export async function stopped(agents: Agents): Promise<void> {
  for (const agent of [agents.beta, agents.alpha]) await agent.interrupt(0);
}

export async function plainAndBack(place: MeshPlace): Promise<void> {
  const { alpha, beta } = place.at;
  await alpha.types('weft policy set --mode plain', /policy/);
  await segmentIs(place, 'plain vxlan');
  await beta.machine.meets('alpha');
  await beta.machine.ok('ping -c 2 -i 0.2 -W 2 10.80.0.1');
  await alpha.types('weft policy set --mode sealed', /policy/);
  await segmentIs(place, 'sealed vxlan');
  await beta.machine.meets('alpha');
  await beta.machine.ok('ping -c 2 -i 0.2 -W 2 10.80.0.1');
}
