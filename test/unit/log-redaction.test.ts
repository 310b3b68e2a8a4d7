import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createLog } from '../../agent/log.ts';

/** A log into memory, and its parsed lines. */
function memoryLog(level: 'debug' | 'info' | 'silent' = 'info') {
  const lines: string[] = []; // bounded by the test
  const log = createLog({ level, format: 'json' }, { write: (line: string) => void lines.push(line) });
  return { log, lines, last: (): Record<string, unknown> => JSON.parse(lines.at(-1) ?? '{}') };
}

test('a line is one JSON object with time, level name and message', () => {
  const { log, last } = memoryLog();
  log.info({ tap: 'weft0' }, 'ready');
  const { time, ...rest } = last();
  assert.deepEqual(rest, { level: 'info', tap: 'weft0', msg: 'ready' });
  assert.match(String(time), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
});

test('levels below the configured one are not written', () => {
  const { log, lines } = memoryLog();
  log.debug('no');
  memoryLog('silent').log.error('no');
  assert.deepEqual(lines, []);
});

test('fields with secret names are masked at any depth, other fields stay', () => {
  const { log, lines } = memoryLog();
  const secret = 'hunter2hunter2';
  log.info({
    token: secret,
    psk: secret,
    rootKey: secret,
    mesh: { seed: secret, deep: [{ privateKey: secret, 'node-sign-key': secret }] },
    seeds: ['192.0.2.1:7947'],
    signPk: 'aabb',
    keepaliveMs: 10,
  });
  const line = lines[0] ?? '';
  assert.doesNotMatch(line, /hunter2/);
  for (const kept of ['192.0.2.1:7947', 'aabb', '"keepaliveMs":10']) assert.ok(line.includes(kept), kept);
});

test('a join token in a message or an error never reaches the line', () => {
  const { log, lines } = memoryLog();
  log.info('joining with weft1_QUJDREVGRw now');
  log.error({ err: new Error('cannot parse weft1_QUJDREVGRw') }, 'failed');
  log.child({ note: 'weft1_QUJDREVGRw' }).warn('x');
  assert.equal(lines.length, 3);
  for (const line of lines) assert.doesNotMatch(line, /QUJDREVGRw/);
});

test('bytes are logged as their length, errors with code and message, cycles without end', () => {
  const { log, last } = memoryLog();
  const loop: Record<string, unknown> = {};
  loop.self = loop;
  log.info({ body: new Uint8Array(32), err: Object.assign(new Error('boom'), { code: 'E_X' }), loop });
  const { body, err } = last() as { body: string; err: { code: string; message: string } };
  assert.equal(body, '32 bytes');
  assert.deepEqual([err.code, err.message], ['E_X', 'boom']);
});

test('the human format is one line on stderr and none on stdout', () => {
  const source = fileURLToPath(
    new URL(import.meta.url.endsWith('.ts') ? '../../agent/log.ts' : '../../agent/log.js', import.meta.url),
  );
  const script = `const { createLog } = await import(${JSON.stringify(source)});
    createLog({ level: 'info', format: 'human' }).info({ tap: 'weft0', token: 'hunter2' }, 'ready');`;
  const args = [
    ...process.execArgv.filter((arg) => !arg.startsWith('--test')),
    '--input-type=module',
    '-e',
    script,
  ];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  assert.equal(stdout, '');
  assert.match(stderr, /^\[[\d:.]+\] INFO: ready \{"tap":"weft0","token":"\[redacted\]"\}\n$/);
});
