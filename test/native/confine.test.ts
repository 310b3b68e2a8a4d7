/** Giving up rights, in a process of its own for each case, since it is for good. Needs root: there must be something to give up. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

/** Prints the status of every thread, before and after, as JSON; a worker and the thread pool run. */
const program = (keep: number): string => `
  import { readdirSync, readFileSync } from 'node:fs';
  import { readFile } from 'node:fs/promises';
  import { once } from 'node:events';
  import { Worker } from 'node:worker_threads';
  import { spawnSync } from 'node:child_process';
  import { confine, isDumpable } from 'tun-tap';
  await Promise.all([1, 2, 3, 4].map(() => readFile('/etc/hosts')));
  const early = new Worker('setInterval(() => {}, 1000)', { eval: true });
  await once(early, 'online');
  const fields = /^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs):\\s*(\\S+)$/gm;
  const read = () => readdirSync('/proc/self/task').map((tid) =>
    Object.fromEntries([...readFileSync('/proc/self/task/' + tid + '/status', 'utf8').matchAll(fields)].map((m) => [m[1], m[2]])));
  const before = read();
  const errno = confine(${keep});
  const late = new Worker('setInterval(() => {}, 1000)', { eval: true });
  await once(late, 'online');
  const after = read();
  const child = spawnSync('cat', ['/proc/self/status'], { encoding: 'utf8' }).stdout;
  console.log(JSON.stringify({ before, errno, after, dumpable: isDumpable(), again: confine(${keep}),
    child: /^CapEff:\\s*(\\S+)$/m.exec(child)[1] }));
  process.exit(0);
`;

interface Seen {
  readonly before: readonly Readonly<Record<string, string>>[];
  readonly errno: number;
  readonly after: readonly Readonly<Record<string, string>>[];
  readonly dumpable: boolean;
  readonly again: number;
  readonly child: string;
}

function run(keep: number, through: readonly string[] = []): Seen {
  const [file = '', ...args] = [...through, process.execPath, '--input-type=module', '--eval', program(keep)];
  const ended = spawnSync(file, args, { encoding: 'utf8' });
  assert.equal(ended.status, 0, ended.stderr);
  return JSON.parse(ended.stdout) as Seen;
}

const NET_ADMIN = '0000000000001000';
const NOTHING = '0000000000000000';

test('every thread, those of Node and those made later too, keeps what is named and nothing else', () => {
  const { before, errno, after, dumpable, again, child } = run(2 ** 12);
  assert.ok(before.length > 6, 'there are threads besides the main one');
  assert.ok(before.every((thread) => BigInt(`0x${thread.CapEff}`) > 2n ** 13n && thread.NoNewPrivs === '0'));
  assert.equal(errno, 0);
  assert.ok(after.length > before.length, 'a worker was started after');
  for (const thread of after)
    assert.deepEqual(thread, {
      CapInh: NOTHING,
      CapPrm: NET_ADMIN,
      CapEff: NET_ADMIN,
      CapBnd: NET_ADMIN,
      CapAmb: NOTHING,
      NoNewPrivs: '1',
    });
  assert.equal(dumpable, false);
  assert.equal(again, 0, 'it may be called again');
  assert.equal(child, NET_ADMIN, 'a program run by root gets no more');
});

test('nothing at all may be kept', () => {
  for (const thread of run(0).after) assert.equal(thread.CapEff, NOTHING);
});

test('a user with one ambient capability keeps it for the programs that it runs', () => {
  const user = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
  const { errno, after, child } = run(2 ** 12, [
    ...user,
    '--inh-caps=+net_admin',
    '--ambient-caps=+net_admin',
  ]);
  assert.equal(errno, 0);
  for (const thread of after)
    assert.deepEqual([thread.CapEff, thread.CapAmb, thread.NoNewPrivs], [NET_ADMIN, NET_ADMIN, '1']);
  assert.equal(child, NET_ADMIN);
});
