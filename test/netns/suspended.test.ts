/**
 * Doubt and the data path. A host whose gossip alone is cut off goes on, for its session hears it; one that nothing is heard
 * of gets neither copies nor frames, and what was learned behind it counts again when it is heard.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { FdbReport, MembersReport } from '../../agent/control/api-types.ts';
import { delay, until } from '../../agent/lab/wait.ts';
import { BROADCAST, FrameSender, frame } from './frames.ts';
import { Mesh, overlayOf } from './mesh.ts';

const GUEST = '02:5e:00:00:00:42';
const TABLE = 'add table inet t; add chain inet t f { type filter hook forward priority 0; }';

let mesh: Mesh;
let guests: FrameSender;
before(async () => {
  mesh = await Mesh.start({ hosts: 3 });
  guests = new FrameSender(mesh.host(2).node.namespace);
});
after(async () => {
  await guests?.stop();
  await mesh?.remove();
});

const cut = (match: string): Promise<string> =>
  mesh.inRouter(['nft', `${TABLE}; add rule inet t f ${match} drop`]);
const heal = (): Promise<string> => mesh.inRouter(['nft', 'delete table inet t']);

async function stateOf(name: string): Promise<string> {
  const { members } = await mesh.host(0).api.get<MembersReport>('/v1/members');
  return members.find((m) => m.name === name)?.state ?? 'unknown';
}

async function guestEntry(): Promise<FdbReport['entries'][number] | undefined> {
  const { entries } = await mesh.host(0).api.get<FdbReport>('/v1/fdb');
  return entries.find(({ mac }) => mac === GUEST);
}

const announce = (): Promise<void> =>
  guests.frames({ device: 'weft0', frames: [frame({ to: BROADCAST, from: GUEST, size: 60 })] });

const pings = async (count: number): Promise<string> => {
  const address = await overlayOf(mesh.host(2));
  return (await mesh.run(0, ['ping', '-c', String(count), '-i', '0.1', '-W', '1', address])).out;
};

test('a host whose gossip alone is cut off is not declared dead while its data is heard, and loses nothing', async () => {
  await pings(3);
  await cut('iifname "to3" udp dport 7946');
  await cut('oifname "to3" udp dport 7946');
  const loss = await pings(250);
  assert.match(loss, / 0% packet loss/);
  assert.notEqual(await stateOf('host3'), 'dead');
  assert.equal((await guestEntry())?.suspended ?? false, false);
  await heal();
  await until('alive', { timeoutMs: 20_000 }, async () =>
    (await stateOf('host3')) === 'alive' ? true : null,
  );
});

test('what was learned behind a host that nobody hears is kept and not used, and counts again when it is heard', async () => {
  await until('the guest is learned', { timeoutMs: 10_000 }, async () => {
    await announce();
    return (await guestEntry())?.peer === 'host3' ? true : null;
  });
  await cut('iifname "to3"');
  await cut('oifname "to3"');
  await until('suspended', { timeoutMs: 40_000 }, async () =>
    (await guestEntry())?.suspended === true ? true : null,
  );
  assert.notEqual(await stateOf('host3'), 'alive');
  // To the host itself: dropped and counted. To the guest behind it: as if it were unknown, to the other host alone.
  const before = await mesh.metric(0, 'weft_dropped_frames_total', { reason: 'suspended' });
  const flooded = await mesh.metric(0, 'weft_flooded_frames_total', { cause: 'unknown' });
  const { entries } = await mesh.host(0).api.get<FdbReport>('/v1/fdb');
  const own = entries.find((entry) => entry.static && entry.peer === 'host3');
  assert.equal(own?.suspended, true);
  const sender = new FrameSender(mesh.host(0).node.namespace);
  const to = (mac: string): Buffer => frame({ to: mac, from: '02:5e:00:00:00:01', size: 60 });
  await sender.frames({ device: 'weft0', frames: [to(own?.mac ?? ''), to(GUEST)] });
  await sender.stop();
  await until('both are counted', { timeoutMs: 5000 }, async () =>
    (await mesh.metric(0, 'weft_dropped_frames_total', { reason: 'suspended' })) > before &&
    (await mesh.metric(0, 'weft_flooded_frames_total', { cause: 'unknown' })) > flooded
      ? true
      : null,
  );
  assert.match(await mesh.host(0).weftOk(['fdb']), new RegExp(`${GUEST}.*learned, suspended`));
  await delay(1000);
  await heal();
  await until('in use again', { timeoutMs: 20_000 }, async () =>
    (await guestEntry())?.suspended === false ? true : null,
  );
  assert.equal((await guestEntry())?.peer, 'host3', 'without having spoken again');
  // The other side judges by itself, up to half a second later.
  await until('in use again at the other end', { timeoutMs: 20_000 }, async () => {
    const { entries } = await mesh.host(2).api.get<FdbReport>('/v1/fdb');
    return entries.some(({ peer, suspended }) => peer === 'host1' && !suspended) ? true : null;
  });
  assert.match(await pings(5), / 0% packet loss/);
});
