import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { buildCli } from '../../agent/cli/cli.ts';
import { CONFIG_KEYS } from '../../agent/config/keys.ts';

const folder = mkdtempSync(join(tmpdir(), 'weft-config-'));
after(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'config.yaml');
const stop = (): Promise<never> => Promise.reject(new Error('not here'));

async function weft(
  text: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<{ status: number; out: string; err: string }> {
  writeFileSync(file, text);
  let out = '';
  let err = '';
  const cli = buildCli(
    { init: stop, up: stop, run: stop, lab: stop },
    {
      out: (more) => {
        out += more;
      },
      err: (more) => {
        err += more;
      },
      env: { WEFT_STATE_DIR: folder, ...env },
      outBytes: () => undefined,
      outIsTerminal: false,
      interactive: false,
      readStdin: async () => '',
      ask: async () => '',
    },
  );
  const status = await cli.run(['--config', file, ...args]);
  return { status, out, err };
}

test('config check says yes, or where the mistake is, with status 78', async () => {
  assert.deepEqual(await weft('tap: weft7\n', ['config', 'check']), {
    status: 0,
    out: '',
    err: 'weft: the configuration is right\n',
  });
  const wrong = await weft('tap: weft7\nlog:\n  levle: debug\n', ['config', 'check']);
  assert.deepEqual([wrong.status, wrong.out], [78, '']);
  assert.equal(wrong.err, `weft: ${file}:3:3: unknown key "log.levle"; did you mean "log.level"?\n`);
  const json = await weft('tap: [', ['config', 'check', '--json']);
  assert.deepEqual([json.status, json.err], [78, '']);
  const { v, ok, error } = JSON.parse(json.out);
  assert.deepEqual([v, ok, error.code], [1, false, 'E_CONFIG']);
  assert.deepEqual(JSON.parse((await weft('', ['config', 'check', '--json'])).out), {
    v: 1,
    ok: true,
    error: null,
  });
});

test('config show names every key with its value and where that comes from', async () => {
  const { status, out } = await weft('tap: weft7\nlog:\n  level: debug\n', ['config', 'show', '--json'], {
    WEFT_GOSSIP_PORT: '7000',
  });
  assert.equal(status, 0);
  const { v, settings } = JSON.parse(out) as {
    v: number;
    settings: { key: string; value: unknown; from: string }[];
  };
  assert.equal(v, 1);
  assert.deepEqual(
    settings.map(({ key }) => key),
    CONFIG_KEYS.map(({ yaml }) => yaml),
  );
  const of = (name: string): unknown[] => {
    const found = settings.find(({ key }) => key === name);
    return [found?.value, found?.from];
  };
  assert.deepEqual(of('tap'), ['weft7', `${file}:1:6`]);
  assert.deepEqual(of('log.level'), ['debug', `${file}:3:10`]);
  assert.deepEqual(of('gossip_port'), [7000, 'environment variable WEFT_GOSSIP_PORT']);
  assert.deepEqual(of('socket'), ['/run/weft/weft.sock', 'default']);
});

test('what config show prints is a file that gives the same configuration', async () => {
  const first = await weft('tap: weft7\nunderlay: 192.0.2.1\nmetrics:\n  address: off\n', ['config', 'show']);
  assert.match(first.out, /^tap: weft7 # .*:1:6$/m);
  const again = await weft(first.out, ['config', 'show']);
  const strip = (text: string): unknown => parse(text);
  assert.equal(again.err, '');
  assert.deepEqual(strip(again.out), strip(first.out));
});

test('config show stops at a mistake with status 78', async () => {
  assert.equal((await weft('tap: 7\n', ['config', 'show'])).status, 78);
});

test('config schema accepts what the loader accepts and refuses what it refuses', async () => {
  const schema = JSON.parse((await weft('', ['config', 'schema'])).out);
  assert.deepEqual(JSON.parse((await weft('', ['config', 'schema', '--json'])).out), { v: 1, schema });
  const validator = z.fromJSONSchema(schema);
  for (const text of ['tap: weft7', 'log: {level: debug}', 'gossip_port: 7000', 'udp: {send_ports: 4}', '{}'])
    assert.ok(validator.safeParse(parse(text)).success, text);
  for (const text of [
    'tpa: weft7',
    'log: {levle: debug}',
    'gossipPort: 7000',
    'gossip_port: text',
    'udp: {send_ports: 99}',
  ])
    assert.ok(!validator.safeParse(parse(text)).success, text);
});
