/** T15: the attacker is a member that was revoked in the other half, with its agent, its keys and its sessions in this one. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from '../../agent/lab/wait.ts';
import { Mesh } from '../netns/mesh.ts';

/** From the first word between the halves. */
const LEARN_MS = 2000;
/** Until they speak again; gossip's own promise, with room for a slow machine. */
const HEAL_MS = 40_000;

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start({ hosts: 4 });
});
after(() => mesh?.remove());

const statesOf = async (at: number, name: string): Promise<string | null> => mesh.host(at).stateOf(name);

test('T15: revoked in one half of a partition, a host is out in the other within 2 s of healing', async () => {
  const [a, b, c, d] = mesh.hosts;
  assert.ok(a && b && c && d);
  // The router is the only way between hosts 1, 2 and hosts 3, 4.
  const halves = [
    [a, b],
    [c, d],
  ] as const;
  const cut = halves[0].flatMap((x) =>
    halves[1].map(
      (y) =>
        `ip saddr ${x.node.address} ip daddr ${y.node.address} drop; ip saddr ${y.node.address} ip daddr ${x.node.address} drop`,
    ),
  );
  const rules = ['type filter hook forward priority 0', ...cut].join('\n').replaceAll('; ', '\n');
  await mesh.inRouter(['nft', `table inet cut {\nchain f {\n${rules}\n}\n}`]);
  await until('a partition', { timeoutMs: HEAL_MS }, async () =>
    (await statesOf(0, c.name)) === 'dead' && (await statesOf(2, a.name)) === 'dead' ? true : null,
  );
  await a.weftOk(['revoke', 'node', d.name, '--yes']);
  assert.notEqual(await statesOf(2, d.name), null, 'host 3 cannot know');
  await mesh.inRouter(['nft', 'delete', 'table', 'inet', 'cut']);
  await until('a word between the halves', { timeoutMs: HEAL_MS, everyMs: 20 }, async () =>
    (await statesOf(2, a.name)) === 'alive' || (await statesOf(2, b.name)) === 'alive' ? true : null,
  );
  const healed = performance.now();
  await until('host 4 put out by host 3', { timeoutMs: LEARN_MS, everyMs: 20 }, async () =>
    (await statesOf(2, d.name)) === null ? true : null,
  );
  process.stdout.write(`# learned ${Math.round(performance.now() - healed)} ms after healing\n`);
  await until('end of host 4', { timeoutMs: 20_000 }, () => d.exitStatus);
  assert.equal(d.exitStatus, 4);
});
