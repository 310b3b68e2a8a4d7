/** The agent as a process refuses to run when its own data path would let a plain frame into a sealed segment. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run } from '../../agent/lab/command.ts';
import { drops } from '../attacks/attacker.ts';
import { Mesh } from './mesh.ts';

const DIST = fileURLToPath(new URL('../../', import.meta.url));
const CHECK = '(tables.segments[segmentAt + S.SEALED] === 1) !== sealed';
const copy = mkdtempSync(join(tmpdir(), 'weft-sabotage-'));

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.underlay({ hosts: 1 });
  await mesh.init();
});
after(async () => {
  await mesh?.remove();
  rmSync(copy, { recursive: true });
});

test('a sound build starts, and the frames of its self-test are in no counter', async () => {
  for (const reason of ['vni', 'garbage', 'unknown_vtep'])
    assert.equal(await drops(mesh, 0, reason), 0, reason);
  assert.equal(await mesh.metric(0, 'weft_frames_total', { direction: 'receive' }), 0);
  assert.equal(await mesh.host(0).stop(), 0);
});

test('a build without the check says so in one line, exits 1 and never opens its socket', async () => {
  for (const folder of ['agent', 'gossip'])
    cpSync(join(DIST, folder), join(copy, folder), { recursive: true });
  symlinkSync(join(DIST, '..', 'node_modules'), join(copy, 'node_modules'));
  writeFileSync(join(copy, 'package.json'), readFileSync(join(DIST, '..', 'package.json')));
  const path = join(copy, 'agent/datapath/receive.js');
  const text = readFileSync(path, 'utf8');
  assert.equal(text.split(CHECK).length, 2, 'the check is where this test takes it out');
  writeFileSync(path, text.replace(CHECK, 'false'));

  const host = mesh.host(0);
  const main = join(copy, relative(DIST, join(DIST, 'agent/main.js')));
  const command = host.command(['run']).map((arg) => (arg === join(DIST, 'agent/main.js') ? main : arg));
  assert.ok(command.includes(main));
  const { status, err } = await run(command, { timeoutMs: 30_000 });
  assert.equal(status, 1);
  const lines = err.trim().split('\n');
  assert.match(
    lines.at(-1) ?? '',
    /^weft: the self-test of the data path failed: a plain vxlan frame for sealed VNI \d+ on the plain port was not dropped as vni; .*reinstall weft$/,
  );
  assert.doesNotMatch(err, /"msg":"ready"|\n\s+at /);
  await assert.rejects(host.api.get('/v1/status'));
});
