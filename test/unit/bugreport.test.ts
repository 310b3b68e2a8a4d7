import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { holdsSecret, redactor, secretsOf } from '../../agent/cli/bugreport/redaction.ts';
import { tarOf } from '../../agent/cli/bugreport/tar.ts';
import { buildCli } from '../../agent/cli/cli.ts';
import { type Served, serveFakeAgent } from './control-fake-agent.ts';

const folder = mkdtempSync(join(tmpdir(), 'weft-bugreport-'));
let served: Served;
before(async () => {
  served = await serveFakeAgent();
});
after(async () => {
  await served.stop();
  rmSync(folder, { recursive: true });
});

/** Every form in which a program may print bytes. */
const FORMS: Readonly<Record<string, (key: Buffer) => string | Buffer>> = {
  raw: (key) => key,
  hex: (key) => key.toString('hex'),
  'upper hex': (key) => key.toString('hex').toUpperCase(),
  'hex with colons': (key) => key.toString('hex').replace(/..(?!$)/g, '$&:'),
  base64: (key) => key.toString('base64'),
  base64url: (key) => key.toString('base64url'),
  'inside of longer base64': (key) =>
    Buffer.concat([Buffer.from('x'), key, Buffer.from('tail')]).toString('base64'),
  'inside of longer base64url': (key) =>
    Buffer.concat([Buffer.from('xy'), key, Buffer.from('t')]).toString('base64url'),
  'array of bytes': (key) => JSON.stringify([...key]),
};

/** The inner part of what shows a key, however it is aligned. */
const traces = (key: Buffer): string[] => [
  key.subarray(1, 30).toString('latin1'),
  key.subarray(1, 30).toString('hex'),
  key.subarray(0, 30).toString('base64').slice(0, 38),
  key.subarray(1, 31).toString('base64').slice(2, 38),
  key.subarray(2, 32).toString('base64').slice(2, 36),
  [...key.subarray(1, 30)].join(','),
];

test('a key is masked in every form, and found where it was not masked', () => {
  for (let i = 0; i < 50; i++) {
    const key = randomBytes(32);
    const redact = redactor([key]);
    for (const [form, print] of Object.entries(FORMS)) {
      const printed = print(key);
      const text = Buffer.concat([Buffer.from('before '), Buffer.from(printed), Buffer.from(' after')]);
      assert.ok(holdsSecret(text, [key]), `${form} is found`);
      const masked = redact(form === 'raw' ? text.toString('latin1') : text.toString('utf8'));
      assert.ok(!holdsSecret(Buffer.from(masked), [key]), `${form} is masked: ${masked}`);
      const flat = masked.replace(/[:\s]/g, '').toLowerCase();
      for (const trace of traces(key))
        assert.ok(!masked.includes(trace) && !flat.includes(trace), `${form}: no trace`);
      assert.match(masked, /^before .*\[redacted\].* after$/s);
    }
  }
});

test('join tokens are masked, and ordinary text is left alone', () => {
  const redact = redactor([randomBytes(32)]);
  assert.equal(redact('token weft1_AbCdEfGhIjK in a log'), 'token weft_[redacted] in a log');
  const text = JSON.stringify({ nodeId: 'ab'.repeat(32), address: '10.80.0.1/24', weft_frames_total: 1 });
  assert.equal(redact(text), text);
  assert.ok(holdsSecret(Buffer.from('weft1_AbCdEfGhIjK'), []));
});

test('secrets are the key files of the directory: whole, trimmed, and the seed of a longer one', () => {
  const state = join(folder, 'keys');
  mkdirSync(state);
  const long = randomBytes(64);
  writeFileSync(join(state, 'node-sign.key'), long);
  writeFileSync(join(state, 'text.key'), `${'k'.repeat(44)}\n`);
  writeFileSync(join(state, 'node.cert'), randomBytes(64));
  const secrets = secretsOf(state).map((secret) => secret.toString('hex'));
  assert.ok(secrets.includes(long.toString('hex')) && secrets.includes(long.subarray(0, 32).toString('hex')));
  assert.ok(secrets.includes(Buffer.from('k'.repeat(44)).toString('hex')));
  assert.ok(
    secrets.every((secret) => !readFileSync(join(state, 'node.cert')).toString('hex').includes(secret)),
  );
  assert.deepEqual(secretsOf(join(folder, 'none')), []);
});

test('tar(1) reads the archive back byte by byte', () => {
  const entries = [0, 1, 511, 512, 513, 5000].map((size) => ({
    name: `a/${size}.bin`,
    content: randomBytes(size),
  }));
  const file = join(folder, 'x.tar');
  writeFileSync(file, tarOf(entries, 1_800_000_000));
  const listing = execFileSync('tar', ['-tvf', file, '--utc'], { encoding: 'utf8' });
  assert.match(listing, /^-rw------- root\/root +5000 2027-01-15 08:00 a\/5000\.bin$/m);
  for (const { name, content } of entries)
    assert.deepEqual(execFileSync('tar', ['-xOf', file, name]), content, name);
  assert.throws(() => tarOf([{ name: 'n'.repeat(100), content: new Uint8Array() }], 0), RangeError);
});

async function weft(
  args: readonly string[],
  stateDir: string,
): Promise<{ status: number; out: string; err: string }> {
  const stop = (): Promise<never> => Promise.reject(new Error('not here'));
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
      env: { WEFT_STATE_DIR: stateDir, WEFT_SOCKET: served.socket },
      outBytes: () => undefined,
      outIsTerminal: false,
      interactive: false,
      readStdin: async () => '',
      ask: async () => '',
    },
  );
  return { status: await cli.run(args), out, err };
}

test('a report of a host whose log is full of its keys and tokens holds none of them', async () => {
  const state = join(folder, 'state');
  mkdirSync(state);
  const names = ['node-sign.key', 'node-dh.key', 'mesh-root.key', 'mesh-psk.key', 'token.key', 'reset.key'];
  const keys = names.map((name) => ({ name, key: randomBytes(name === 'node-sign.key' ? 64 : 32) }));
  for (const { name, key } of keys) writeFileSync(join(state, name), key, { mode: 0o600 });
  const log = join(folder, 'agent.log');
  const printed = keys.flatMap(({ key }) => Object.values(FORMS).map((print) => Buffer.from(print(key))));
  const lines = printed.flatMap((line) => [line, Buffer.from('\n')]);
  writeFileSync(log, Buffer.concat([...lines, Buffer.from('token weft1_AbCdEfGhIjKlMn\nthe end\n')]));
  const file = join(folder, 'report.tar.gz');
  const { status, out, err } = await weft(['bugreport', '--out', file, '--log', log], state);
  assert.deepEqual([status, out], [0, `${file}\n`]);
  assert.match(err, /^weft: .* without keys and tokens/);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const archive = gunzipSync(readFileSync(file));
  const text = archive.toString('latin1');
  assert.ok(text.includes('the end\n'), 'the log is in it');
  assert.ok(text.includes('"mesh-psk.key"'), 'names of the state files are in it');
  for (const { name, key } of keys)
    for (const part of key.length > 32 ? [key, key.subarray(0, 32)] : [key])
      for (const [form, print] of Object.entries(FORMS))
        assert.ok(!archive.includes(Buffer.from(print(part))), `${name} as ${form}`);
  assert.ok(!text.includes('weft1_'));
});

test('a report holds what helps, also when there is no agent, and never overwrites', async () => {
  const file = join(folder, 'second.tar.gz');
  const { out } = await weft(['bugreport', '--out', file, '--json'], join(folder, 'nothing'));
  const { v, parts, bytes } = JSON.parse(out);
  assert.deepEqual([v, bytes], [1, statSync(file).size]);
  for (const name of [
    'version.json',
    'config.json',
    'agent/status.json',
    'agent/metrics.txt',
    'doctor.json',
    'graph.json',
    'kernel/addresses.json',
    'kernel/udp-sockets.txt',
  ])
    assert.ok(parts.includes(name), name);
  const again = await weft(['bugreport', '--out', file], folder);
  assert.deepEqual([again.status, again.out], [78, '']);
  assert.match(again.err, /^weft: report .* cannot be written \(EEXIST\): remove it or choose another\n$/);
  const alone = await weft(
    ['--socket', '/nonexistent/weft.sock', 'bugreport', '--out', join(folder, 'third.tar.gz')],
    folder,
  );
  assert.equal(alone.status, 0);
  const text = gunzipSync(readFileSync(join(folder, 'third.tar.gz'))).toString('utf8');
  assert.match(text, /not available: no agent answers at \/nonexistent\/weft\.sock/);
});
