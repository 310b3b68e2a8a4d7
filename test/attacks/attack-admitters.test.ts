/**
 * T5 of the attack table: an attacker who holds the whole state directory of an admitter. It can let hosts in within the
 * admitter's limits; the root ends it and all that it issued; no date that it writes helps. Real agents.
 */
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { AdmittersReport } from '../../agent/control/admission-types.ts';
import type { RevocationReport } from '../../agent/control/api-types.ts';
import { CAP } from '../../agent/identity/node-cert.ts';
import type { Host } from '../../agent/lab/host.ts';
import { until } from '../../agent/lab/wait.ts';
import { BROADCAST, frame, framesFrom, vxlan } from '../netns/frames.ts';
import { Mesh, overlayOf } from '../netns/mesh.ts';
import { Recording, reachable } from '../netns/programs.ts';
import { Attacker, targetOf } from './attacker.ts';
import type { CertifiedMember, Target } from './rogue.ts';

/** Within this the whole mesh has put out what was revoked. */
const CUT_MS = 3000;
const SPOOFED = '02:5e:00:00:00:66';
const YEAR_MS = 365 * 86_400_000;

let mesh: Mesh;
let victim: Target;
let vni: number;
before(async () => {
  mesh = await Mesh.underlay({ hosts: 5 });
  await mesh.init();
  await mesh.join([mesh.host(1)]);
  await mesh.converged();
  await mesh.host(0).weftOk(['admitter', 'add', 'host2']);
  const file = await mesh.token(['--count', 'each', '--uses', '2', '--seed', 'host2', '--allow', 'bridge']);
  for (const host of [mesh.host(2), mesh.host(3)]) {
    host.start(['up', '--token-file', file, '--name', host.name, '--underlay', host.node.address]);
    await host.ready();
  }
  await mesh.converged();
  victim = await targetOf(mesh);
  vni = (await mesh.host(0).api.get<{ vni: number }>('/v1/status')).vni;
});
after(() => mesh?.remove());

/** A copy of everything that a host has on disk. */
function steal(host: Host): string {
  const copy = join(mesh.folder, `stolen-${host.name}`);
  cpSync(host.stateDir, copy, { recursive: true });
  return copy;
}

/** Whether the first host takes a host of the attacker's for a member; `then` runs while the session is up. */
async function isIn(
  stateDir: string,
  wish: Partial<CertifiedMember> = {},
  then: (attacker: Attacker) => Promise<void> = async () => {},
): Promise<boolean> {
  const { namespace, address } = mesh.host(4).node;
  const attacker = new Attacker(namespace);
  try {
    const facts = { stateDir, listen: address, victim, name: 'intruder', caps: CAP.bridge };
    const isUp = await attacker.asCertified({ ...facts, waitMs: 3000, ...wish });
    if (isUp) await then(attacker);
    return isUp;
  } finally {
    await attacker.stop();
  }
}

/** What comes out of the first host's TAP from the attacker's address while `work` runs. */
async function delivered(work: () => Promise<unknown>): Promise<number> {
  const { namespace } = mesh.host(0).node;
  const recording = await Recording.start(namespace, 'weft0', mesh.folder, { direction: 'in' });
  await work();
  return framesFrom(await recording.stop(), SPOOFED).length;
}

const frames = (count: number) => ({
  plaintexts: Array.from({ length: count }, (_, seed) =>
    vxlan(vni, frame({ to: BROADCAST, from: SPOOFED, size: 80, seed })),
  ),
});

const memberOf = async (at: number, name: string): Promise<boolean> =>
  (await mesh.host(at).members()).some((member) => member.name === name) ||
  (await mesh.host(at).peers()).some((peer) => peer.name === name);

test('T5: a stolen admitter key lets hosts in within its limits, and not beyond them', async () => {
  const stateDir = steal(mesh.host(1));
  const isUp = await isIn(stateDir, { waitMs: 10_000 }, async (attacker) => {
    assert.equal(await delivered(() => attacker.seal(frames(1))), 1);
  });
  assert.equal(isUp, true, 'an ordinary host of the admitter’s own segment');
  assert.equal(await isIn(stateDir, { caps: CAP.admit }), false, 'another admitter');
  assert.equal(await isIn(stateDir, { caps: CAP.revoke }), false, 'a host that may revoke');
  assert.equal(await isIn(stateDir, { vnis: [vni + 1] }), false, 'another segment');
  assert.equal(await isIn(stateDir, { vnis: [vni, vni + 1] }), false, 'another segment beside its own');
});

test('T5: `weft revoke admitter` ends the thief and all that the key issued but whom it keeps, within 3 s', async () => {
  const stateDir = steal(mesh.host(1));
  const { namespace, address } = mesh.host(4).node;
  const attacker = new Attacker(namespace);
  try {
    const facts = { stateDir, listen: address, victim, name: 'intruder', caps: CAP.bridge };
    assert.equal(await attacker.asCertified({ ...facts, waitMs: 10_000 }), true);
    assert.equal(await delivered(() => attacker.seal(frames(1))), 1);
    const args = ['revoke', 'admitter', 'host2', '--keep', 'host3', '--reason', 'stolen', '--yes', '--json'];
    const report: RevocationReport = JSON.parse(await mesh.host(0).weftOk(args));
    assert.ok(report.hosts.includes('host2') && report.hosts.includes('host4'), report.hosts.join());
    const gone = [0, 2].flatMap((at) =>
      ['host2', 'host4', 'intruder'].map((name) =>
        until(`${name} out of host${at + 1}`, { timeoutMs: CUT_MS, everyMs: 20 }, async () =>
          (await memberOf(at, name)) ? null : true,
        ),
      ),
    );
    await Promise.all(gone);
    // From the statement, not from the start of the program that asked for it.
    const tookMs = Date.now() - report.revokedAt;
    assert.ok(tookMs < CUT_MS, `${Math.round(tookMs)} ms`);
    assert.equal(await delivered(() => attacker.seal(frames(50))), 0, 'frames under the old session');
  } finally {
    await attacker.stop();
  }
  await until('the end of host4', { timeoutMs: 20_000 }, () => mesh.host(3).exitStatus);
  assert.equal(mesh.host(3).exitStatus, 4);
  assert.match(mesh.host(3).log(), /this host was revoked/);
  assert.equal(await mesh.host(0).stateOf('host3'), 'alive', 'the one that was kept');
  await reachable(mesh.host(0).node.namespace, await overlayOf(mesh.host(2)));
});

test('T5: after that no certificate of the stolen key is one, whatever date it bears', async () => {
  const stateDir = join(mesh.folder, 'stolen-host2');
  assert.equal(await isIn(stateDir), false, 'dated now');
  for (const shiftMs of [-3600_000, -30 * 86_400_000, -YEAR_MS])
    assert.equal(await isIn(stateDir, { shiftMs }), false, `dated back ${-shiftMs} ms`);
  assert.equal(await isIn(stateDir, { name: 'host3' }), false, 'under the name of the host that was kept');
  assert.ok(await memberOf(2, 'host1'));
});

test('T5: the key of a host that was an admitter once lets nobody in, and the host goes on', async () => {
  await mesh.host(0).weftOk(['admitter', 'add', 'host3']);
  const stateDir = steal(mesh.host(2));
  assert.equal(await isIn(stateDir, { waitMs: 10_000 }), true, 'while it is an admitter');
  await mesh.host(0).weftOk(['admitter', 'remove', 'host3']);
  assert.equal(await isIn(stateDir), false);
  assert.equal(await isIn(stateDir, { shiftMs: -86_400_000 }), false, 'dated back');
  assert.equal(await mesh.host(0).stateOf('host3'), 'alive');
  await reachable(mesh.host(0).node.namespace, await overlayOf(mesh.host(2)));
  const { admitters } = await mesh.host(2).api.get<AdmittersReport>('/v1/admitters');
  assert.deepEqual(
    admitters.filter(({ admits }) => admits).map(({ name }) => name),
    ['host1'],
  );
});
