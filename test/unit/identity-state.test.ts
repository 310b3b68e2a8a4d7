import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { WeftError } from '../../agent/errors.ts';
import { AdmissionLog } from '../../agent/identity/admission-log.ts';
import { readCounters, writeCounters } from '../../agent/identity/node-identity.ts';
import { toHex } from '../../agent/identity/sodium.ts';
import { STATE_FILE, StateDir } from '../../agent/identity/state-dir.ts';
import { lockState } from '../../agent/identity/state-lock.ts';
import { DAY_MS, NOW_MS, World } from './identity-world.ts';

const folder = mkdtempSync(join(tmpdir(), 'weft-state-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;
const fresh = (): string => join(folder, `s${count++}`);

/** Where another process finds a file of agent/identity, in the source and in the compiled tree. */
const moduleUrl = (name: string): string =>
  new URL(`../../agent/identity/${name}${import.meta.url.slice(-3)}`, import.meta.url).href;

/** Expects a failure of one line that names `says`. */
function fails(code: string, says: RegExp, run: () => unknown): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof WeftError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, says);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  });
}

test('a state directory and its files are for their owner only, whatever the umask', () => {
  const mask = process.umask(0);
  try {
    const state = StateDir.open(fresh());
    state.write(STATE_FILE.psk, new Uint8Array(32));
    state.appendFile(STATE_FILE.admissions).append('x\n');
    assert.equal(statSync(state.path).mode & 0o777, 0o700);
    for (const name of [STATE_FILE.psk, STATE_FILE.admissions])
      assert.equal(statSync(state.file(name)).mode & 0o777, 0o600);
  } finally {
    process.umask(mask);
  }
});

test('a directory that others may read is refused with the command that mends it', () => {
  const path = fresh();
  mkdirSync(path, { mode: 0o755 });
  fails('E_STATE', /readable by others: run chmod 0700/, () => StateDir.open(path));
  chmodSync(path, 0o700);
  assert.equal(StateDir.open(path).path, path);
});

test('a directory of another user is refused with the command that mends it', () => {
  const path = fresh();
  mkdirSync(path, { mode: 0o700 });
  if (process.geteuid?.() === 0) {
    chownSync(path, 12345, 0);
    fails('E_STATE', /belongs to user 12345, this is user 0: run .*chown/, () => StateDir.open(path));
  } else {
    fails('E_STATE', /belongs to user 0|readable by others/, () => StateDir.open('/'));
  }
});

test('a file of another user inside is named, with the command that mends it', () => {
  const state = StateDir.open(fresh());
  state.appendFile(STATE_FILE.admissions).append('x\n');
  if (process.geteuid?.() !== 0) return;
  chownSync(state.file(STATE_FILE.admissions), 12345, 0);
  fails('E_STATE', /admissions\.log belongs to user 12345, this is user 0: run chown/, () =>
    StateDir.open(state.path),
  );
});

test('a file in the place of the directory, and a place that cannot be, are named', () => {
  const path = fresh();
  writeFileSync(path, 'x');
  fails('E_STATE', new RegExp(path), () => StateDir.open(path));
  fails('E_STATE', /state directory/, () => StateDir.open(join(path, 'below')));
});

test('a key that others may read is refused with the command that mends it', () => {
  const state = StateDir.open(fresh());
  state.write(STATE_FILE.signKey, new Uint8Array(32));
  chmodSync(state.file(STATE_FILE.signKey), 0o640);
  fails('E_STATE', /node-sign\.key is readable by others: run chmod 0600/, () =>
    state.read(STATE_FILE.signKey, 32),
  );
});

test('a missing file and one of a wrong size are named with a way out, and stay as they are', () => {
  const state = StateDir.open(fresh());
  fails('E_STATE', /node\.cert.*backup/, () => state.read(STATE_FILE.cert));
  state.write(STATE_FILE.psk, new Uint8Array(31).fill(7));
  fails('E_STATE', /mesh-psk\.key has 31 bytes instead of 32.*backup/, () => state.read(STATE_FILE.psk, 32));
  assert.equal(readFileSync(state.file(STATE_FILE.psk)).length, 31);
});

test('a write replaces the whole file and leaves nothing beside it', () => {
  const state = StateDir.open(fresh());
  state.write(STATE_FILE.policy, 'a long first content');
  state.write(STATE_FILE.policy, 'short');
  assert.equal(readFileSync(state.file(STATE_FILE.policy), 'utf8'), 'short');
  assert.deepEqual(readdirSync(state.path), ['policy.bin']);
});

test('what a crash left of a write does not matter', () => {
  const state = StateDir.open(fresh());
  state.write(STATE_FILE.policy, 'old');
  writeFileSync(`${state.file(STATE_FILE.policy)}.new`, 'half of the ne');
  assert.equal(Buffer.from(state.read(STATE_FILE.policy)).toString(), 'old');
  state.write(STATE_FILE.policy, 'new');
  assert.equal(Buffer.from(state.read(STATE_FILE.policy)).toString(), 'new');
});

test('a write that fails is an error that names the file, and the old content stays', () => {
  const state = StateDir.open(fresh());
  mkdirSync(state.file(STATE_FILE.vteps));
  fails('E_STATE', /cannot write .*vteps\.json/, () => state.write(STATE_FILE.vteps, '[]'));
  assert.deepEqual(readdirSync(state.path), ['vteps.json']);
});

test('counters begin at zero, come back as written, and damage is named', () => {
  const state = StateDir.open(fresh());
  assert.deepEqual(readCounters(state), { boot: 0, incarnation: 0 });
  writeCounters(state, { boot: 3, incarnation: 7 });
  assert.deepEqual(readCounters(state), { boot: 3, incarnation: 7 });
  for (const bad of [
    '',
    '{',
    'null',
    '[]',
    '{"boot":1}',
    '{"boot":-1,"incarnation":1}',
    '{"boot":1.5,"incarnation":1}',
    '{"boot":1,"incarnation":1e300}',
  ]) {
    writeFileSync(state.file(STATE_FILE.counters), bad);
    fails('E_STATE', /counters\.json is damaged/, () => readCounters(state));
    assert.equal(readFileSync(state.file(STATE_FILE.counters), 'utf8'), bad);
  }
});

/** A log on disk with three admitted hosts, and how to open it. */
function admitted() {
  const world = new World();
  const token = world.token({ uses: 5 });
  for (const name of ['a', 'b', 'c']) assert.equal(world.ask(token, { name }).refused, null);
  const state = StateDir.open(fresh());
  const path = state.file(STATE_FILE.admissions);
  writeFileSync(path, world.file.text, { mode: 0o600 });
  const open = () => new AdmissionLog(state.appendFile(STATE_FILE.admissions), world.clock);
  return { world, token, state, path, text: world.file.text, open };
}

test('the admission log comes back as it was', () => {
  const { world, open } = admitted();
  assert.deepEqual(open().rows(), world.log.rows());
  assert.equal(open().rows().length, 3);
});

test('a last row that a power cut tore off, anywhere, is dropped and the next one stands on its own line', () => {
  const { world, text, path, open } = admitted();
  const lines = text.split('\n');
  const start = text.length - (lines[2]?.length ?? 0) - 1;
  for (let size = start; size < text.length; size += 7) {
    writeFileSync(path, text.slice(0, size));
    const log = open();
    assert.equal(log.rows().length, 2, `${size} bytes`);
    const row = world.log.rows()[2];
    assert.ok(row !== undefined);
    log.append(row);
    assert.equal(readFileSync(path, 'utf8'), text);
    assert.equal(open().rows().length, 3);
  }
});

test('damage in the middle is refused by its line, and nothing is overwritten', () => {
  const { text, path, open, token } = admitted();
  const lines = text.split('\n');
  const id = toHex(token.cert.id);
  const second = lines[1] ?? '';
  const damaged: string[] = [
    '',
    'garbage',
    '{}',
    'null',
    '\u0000'.repeat(100),
    second.slice(0, 40),
    second.replace(id, id.replace(/./g, '0')),
    second.replace('"slot":2', '"slot":"2"'),
    second.replace('"slot":2', '"slot":1'),
    second.replace('"name":"b"', '"name":"z"'),
    second.replace('"addresses":[{', '"addresses":[7,{'),
    second.replace(/"requestId":"./, '"requestId":"g'),
    second.replace(/"cert":"[^"]{10}/, '"cert":"'),
    second.replace(/"tokenExpiresMs":\d+/, '"tokenExpiresMs":null'),
  ];
  for (const line of damaged) {
    assert.notEqual(line, second);
    const bad = [lines[0], line, ...lines.slice(2)].join('\n');
    writeFileSync(path, bad);
    fails('E_STATE', /admissions\.log:2: damaged row.*backup/, open);
    assert.equal(readFileSync(path, 'utf8'), bad);
  }
});

test('a row is forgotten a day after its certificate and its token have both expired', () => {
  const { world, open } = admitted();
  world.clock.wall = NOW_MS + 31 * DAY_MS - 1;
  assert.equal(open().rows().length, 3);
  world.clock.wall += 1;
  assert.equal(open().rows().length, 0);
});

test('a row that the disk has no room for leaves no half of itself', () => {
  const { path, text, state } = admitted();
  // A limit on the size of files stops the write in its middle, as a full disk does.
  const code = `process.on('SIGXFSZ', () => {});
    const { StateDir } = await import(${JSON.stringify(moduleUrl('state-dir'))});
    try { StateDir.open(${JSON.stringify(state.path)}).appendFile('admissions.log').append('x'.repeat(9000)); console.log('written'); }
    catch (error) { console.log(error.code, error.message); }`;
  const blocks = Math.ceil(text.length / 512) + 1;
  const shell = `ulimit -f ${blocks} && exec "$@"`;
  const args = [...process.execArgv, '--input-type=module', '-e', code];
  const { stdout, stderr } = spawnSync('sh', ['-c', shell, 'sh', process.execPath, ...args], {
    encoding: 'utf8',
  });
  assert.match(stdout, /^E_STATE cannot append to .*admissions\.log/, stderr);
  assert.equal(readFileSync(path, 'utf8'), text);
});

test('one agent at a time holds a state directory', () => {
  const state = StateDir.open(fresh());
  const unlock = lockState(state.path);
  fails('E_ALREADY_RUNNING', new RegExp(`pid ${process.pid}.*--state`), () => lockState(state.path));
  unlock();
  lockState(state.path)();
  assert.deepEqual(readdirSync(state.path), []);
});

/** A process that takes the lock, says so, and waits to be killed. */
async function holder(path: string) {
  const code = `const { lockState } = await import(${JSON.stringify(moduleUrl('state-lock'))});
    lockState(${JSON.stringify(path)});
    console.log('locked');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, [...process.execArgv, '--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
}

test('the lock of an agent that lives holds, and that of a killed one blocks nobody', async () => {
  const state = StateDir.open(fresh());
  const child = await holder(state.path);
  fails('E_ALREADY_RUNNING', new RegExp(`pid ${child.pid}`), () => lockState(state.path));
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.ok(existsSync(join(state.path, 'lock')));
  lockState(state.path)();
});

test('a lock of an earlier boot, of a pid used again, or without content blocks nobody', () => {
  const state = StateDir.open(fresh());
  const path = join(state.path, 'lock');
  const unlock = lockState(state.path);
  const own = readFileSync(path, 'utf8');
  unlock();
  const [pid, started, boot] = own.split(' ');
  for (const stale of [
    '',
    'garbage',
    `${pid} 1 ${boot}`,
    `${pid} ${started} another-boot`,
    `4194999 1 ${boot}`,
    '0 0 0',
    '-1 x y',
  ]) {
    writeFileSync(path, stale);
    lockState(state.path)();
    assert.ok(!existsSync(path), stale);
  }
});

test('a lock is released by its holder only', () => {
  const state = StateDir.open(fresh());
  const path = join(state.path, 'lock');
  const unlock = lockState(state.path);
  writeFileSync(path, 'of another');
  unlock();
  assert.equal(readFileSync(path, 'utf8'), 'of another');
});
