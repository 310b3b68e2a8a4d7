/** docs/OPERATIONS.md, typed: the root of a mesh is rotated, lost, and stolen; trust is revoked. */
import assert from 'node:assert/strict';
import { until } from '../../../agent/lab/wait.ts';
import { linked } from './install-chapter.ts';
import { MACHINES } from './site.ts';
import type { Place, Typist, Walk } from './walk.ts';

type RootPlace = Place<'alpha' | 'beta' | 'gamma'>;

const RECOVERY = '/root/recovery.txt';

export async function rootMachines(walk: Walk): Promise<RootPlace> {
  const { alpha, beta, gamma } = MACHINES;
  const place = await walk.machines({ alpha, beta, gamma });
  for (const host of Object.values(place.at)) await linked(host);
  return place;
}

/** A new mesh with a recovery key, which beta is given too. */
async function recoverable(
  { at: { alpha, beta, gamma } }: RootPlace,
  others: readonly Typist[],
): Promise<void> {
  const hosts = [alpha, beta, gamma];
  for (const { machine } of hosts) await machine.ok(`rm -rf /var/lib/weft /root/token ${RECOVERY}`);
  const line = 'weft init --name alpha --address 10.80.0.1/24 --recovery-out FILE';
  const made = await alpha.types(line, /mesh/, { fill: { FILE: RECOVERY } });
  assert.doesNotMatch(made, /no recovery key/);
  await alpha.types('weft run &', /^$/);
  await alpha.machine.ready();
  await alpha.machine.ok('weft token create --uses 2 --out /root/token');
  for (const { machine } of others) {
    await machine.write('/root/token', await alpha.machine.read('/root/token'));
    await machine.leave(`weft up --token-file /root/token --name ${machine.name} &`);
  }
  for (const { machine } of others) await machine.ready();
  await beta.machine.meets(
    ...[alpha, ...others].filter((host) => host !== beta).map(({ machine }) => machine.name),
  );
  await beta.machine.write(RECOVERY, await alpha.machine.read(RECOVERY));
}

/** Ends the agent of a machine, as when the power fails. */
async function crash({ machine }: Typist): Promise<void> {
  await machine.ok("kill -9 $(ss -Hlxp src /run/weft/weft.sock | grep -o 'pid=[0-9]*' | cut -d= -f2)");
  await machine.gone();
}

export async function rotated(place: RootPlace): Promise<void> {
  const { alpha, beta, gamma } = place.at;
  await recoverable(place, [beta, gamma]);
  const before = await alpha.types('weft root list', /^root +\w+.*its key is here$/m);
  await alpha.types('weft root rotate', /the root of the mesh is \w+, its key is on this host/);
  assert.notEqual(await alpha.types('weft root list', /its key is here$/m), before);
}

/** Goes on from `rotated`: the first host is gone, and another has its place and its power to revoke. */
export async function lost({ at: { alpha, beta, gamma } }: RootPlace): Promise<void> {
  await crash(alpha);
  await beta.types('weft root recover --key-file FILE', /its key is on this host/, {
    fill: { FILE: RECOVERY },
  });
  const keep = 'weft revoke admitter NAME --keep HOST';
  await beta.types(keep, /alpha/, { fill: { NAME: 'alpha', HOST: 'gamma' } });
  await gamma.machine.ok('ping -c 2 -i 0.2 -W 2 10.80.0.2');
  await beta.types('weft revoke name NAME', /nobody/, { fill: { NAME: 'nobody' } });
  const { id } = await beta.asks('weft token create --json', ['token', 'id']);
  await beta.types('weft revoke token ID', /token/, { fill: { ID: String(id) } });
  await beta.types('weft revoke node NAME', /gamma/, { fill: { NAME: 'gamma' } });
  await gamma.machine.gone();
  await beta.types('weft revoke list', /gamma/);
}

/** beta takes the root from alpha, and alpha is out; gamma stays. */
export async function stolen(place: RootPlace): Promise<void> {
  const { alpha, beta, gamma } = place.at;
  await gone([beta]);
  for (const [line, others] of [
    ['weft root recover --key-file FILE --stolen-from alpha --keep beta gamma', [beta, gamma]],
    ['weft root recover --key-file FILE --stolen-from alpha', [beta]],
  ] as const) {
    await recoverable(place, others);
    await beta.types(line, /its key is on this host/, { fill: { FILE: RECOVERY } });
    await alpha.machine.gone();
    await until('beta without alpha', { timeoutMs: 10_000 }, async () => {
      const { out } = await beta.machine.run('weft peers');
      return /^alpha .* up /m.test(out) ? null : true;
    });
    if (others.length > 1) await gamma.machine.ok('ping -c 2 -i 0.2 -W 2 10.80.0.2');
    await gone(others);
  }
}

async function gone(hosts: readonly Typist[]): Promise<void> {
  for (const host of hosts) await crash(host);
}
