/** `weft sd`: targets for Prometheus' file_sd. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Command } from 'commander';
import type { Context } from '../../agent/cli/context.ts';
import { addSd, targetsOf } from '../../agent/cli/verbs/sd.ts';
import type { MemberReport } from '../../agent/control/api-types.ts';

const member = (name: string, more: Partial<MemberReport> = {}): MemberReport => ({
  name,
  state: 'alive',
  incarnation: 1,
  address: '10.80.0.1/24',
  endpoint: '192.0.2.1:7947',
  nodeId: '00',
  self: false,
  admitter: false,
  quarantined: false,
  ...more,
});

const MEMBERS = [
  member('gamma', { state: 'dead', address: null }),
  member('alpha', { self: true, endpoint: '0.0.0.0:7947' }),
  member('beta', { address: 'fd00::2/64', endpoint: '[2001:db8::2]:7947' }),
  member('delta', { state: 'left' }),
  member('epsilon', { address: null, endpoint: null }),
];

const addresses = (underlay: boolean): string[] =>
  targetsOf(MEMBERS, 9586, underlay).map(({ targets, labels }) => `${labels.weft_host} ${targets[0]}`);

test('members that have not left are targets by overlay address, dead ones too', () => {
  assert.deepEqual(addresses(false), ['alpha 10.80.0.1:9586', 'beta [fd00::2]:9586', 'gamma 192.0.2.1:9586']);
});

test('with --underlay they are targets by underlay address where it is one', () => {
  assert.deepEqual(addresses(true), [
    'alpha 10.80.0.1:9586',
    'beta [2001:db8::2]:9586',
    'gamma 192.0.2.1:9586',
  ]);
});

/** Runs the verb on MEMBERS; what it printed. */
async function sd(...args: string[]): Promise<string> {
  let out = '';
  const context = {
    client: () => ({ get: async () => ({ v: 1, members: MEMBERS }) }),
    io: {
      out: (text: string) => {
        out += text;
      },
    },
  };
  const program = new Command('weft').exitOverride().configureOutput({ writeErr: () => undefined });
  addSd(program, context as unknown as Context);
  for (const command of program.commands) command.exitOverride();
  await program.parseAsync(['sd', ...args], { from: 'user' });
  return out;
}

test('--out replaces the file as a whole, Prometheus accepts it, and nothing is left beside it', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-sd-'));
  try {
    const file = join(dir, 'weft-sd.json');
    writeFileSync(file, 'old');
    assert.equal(await sd('--port', '9600', '--out', file), '');
    assert.equal(readFileSync(file, 'utf8'), await sd('--port', '9600', '--json'));
    assert.deepEqual(readdirSync(dir), ['weft-sd.json']);
    const config = join(dir, 'prometheus.yml');
    writeFileSync(
      config,
      `scrape_configs: [{ job_name: weft, file_sd_configs: [{ files: ['${file}'] }] }]\n`,
    );
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'config', config], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, `${stdout}${stderr}`);
    assert.doesNotMatch(`${stdout}${stderr}`, /WARNING/);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('a file that cannot be written is named, and nothing is left', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-sd-'));
  try {
    mkdirSync(join(dir, 'taken'));
    await assert.rejects(sd('--out', join(dir, 'taken')), /taken cannot be written \(EISDIR\)/);
    assert.deepEqual(readdirSync(dir), ['taken']);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('a port that is none is refused', async () => {
  for (const port of ['0', '65536', 'x', '1e3'])
    await assert.rejects(sd('--port', port), /a port is 1 to 65535/);
});
