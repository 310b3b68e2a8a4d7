import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Actions, InitOptions, LabOptions, RunOptions, UpOptions } from '../../agent/cli/actions.ts';
import { buildCli } from '../../agent/cli/cli.ts';
import { ratesOf } from '../../agent/cli/verbs/drops.ts';
import { type Served, serveFakeAgent } from './control-fake-agent.ts';

let served: Served;
before(async () => {
  served = await serveFakeAgent();
});
after(() => served.stop());

const ESCAPE = '\u001b';

interface Ran {
  readonly status: number;
  readonly out: string;
  readonly err: string;
  readonly did: readonly (InitOptions | UpOptions | RunOptions | LabOptions)[];
}

interface Setting {
  readonly env?: Record<string, string>;
  readonly stdin?: string;
  readonly terminal?: boolean;
  readonly typed?: string;
}

/** Runs one command line against the fake agent, in this process. */
async function weft(line: string, setting: Setting = {}): Promise<Ran> {
  let out = '';
  let err = '';
  const did: Ran['did'][number][] = []; // bounded by one verb
  const actions: Actions = {
    async init(options) {
      did.push(options);
      const { name, mesh, config, recoveryOut: recoveryFile } = options;
      const stateDir = config.stateDir;
      return { name, mesh, address: '10.80.0.1/24', stateDir, recoveryFile, warnings: ['beware'] };
    },
    up: async (options) => void did.push(options),
    run: async (options) => void did.push(options),
    async lab(options) {
      did.push(options);
      return 130;
    },
  };
  const cli = buildCli(actions, {
    out: (text) => {
      out += text;
    },
    outBytes: (bytes) => {
      out += Buffer.from(bytes).toString('latin1');
    },
    err: (text) => {
      err += text;
    },
    env: { WEFT_STATE_DIR: served.folder, WEFT_SOCKET: served.socket, ...setting.env },
    outIsTerminal: setting.terminal === true,
    interactive: setting.typed !== undefined,
    readStdin: async () => setting.stdin ?? '',
    ask: async () => setting.typed ?? '',
  });
  const status = await cli.run(line.split(' ').filter((word) => word !== ''));
  return { status, out, err, did };
}

test('reading verbs print aligned tables for people', async () => {
  const peers = await weft('peers');
  assert.equal(peers.status, 0);
  assert.deepEqual(
    peers.out.split('\n'),
    [
      'NAME         ADDRESS       ENDPOINT        STATE  PATH        RTT  LOSS  PMTU     SENT  RECEIVED  HANDSHAKE  REASON',
      'beta         10.80.0.2/24  192.0.2.2:7947  up     direct  0.35 ms  13 %     -  1.5 MiB     512 B  1m 1s ago  -',
      'ga?[31mmma   10.80.0.2/24  192.0.2.2:7947  down   direct        -  13 %     -  1.5 MiB     512 B          -  no answer',
      '',
    ].map((row) => row.replace(/^(NAME|beta|ga\?\[31mmma) +/, (name) => name.trim().padEnd(12))),
  );
  assert.match((await weft('members')).out, /^alpha \(this host\) {2}alive {2}10\.80\.0\.1\/24/m);
  assert.match((await weft('fdb')).out, /^02:00:00:00:00:01 {4}1 {2}\(local\) {3}3s {2}learned$/m);
  const status = await weft('status');
  assert.match(status.out, /^state +up for 3m 12s, version 0\.1\.0$/m);
  assert.match(status.out, /^peers +1 of 2 up$/m);
  assert.match(status.out, /^problem +no answer from gamma$/m);
  assert.equal(status.err, '');
});

test('drops say what they mean, and those that go on come first', async () => {
  const { status, out } = await weft('drops --for 1s');
  assert.equal(status, 0);
  assert.match(
    out,
    /^REASON +DIRECTION +DROPPED +NOW +MEANING\nreplay +receive +3 +0\/s +The counter was seen before\.\n$/,
  );
  const drop = (reason: string, count: number) => ({ direction: 'receive' as const, reason, count, why: '' });
  const before = { v: 1 as const, drops: [drop('auth', 100), drop('vni', 900)] };
  const now = { v: 1 as const, drops: [drop('vni', 900), drop('auth', 150), drop('rate', 20)] };
  assert.deepEqual(
    ratesOf(before, now, 2).drops.map(({ reason, count, perSecond }) => [reason, count, perSecond]),
    [
      ['auth', 150, 25],
      ['rate', 20, 10],
      ['vni', 900, 0],
    ],
  );
});

const READING = [
  ...[
    'status',
    'peers',
    'members',
    'fdb',
    'drops --for 1s',
    'metrics',
    'version',
    'vtep list',
    'events',
    'ping beta --count 1',
    'trace 02:00:00:00:00:0a 02:00:00:00:00:0b',
  ],
  ...['config check', 'config show', 'config schema'],
];
for (const verb of READING) {
  test(`${verb} --json prints one versioned object on one line`, async () => {
    const { status, out, err } = await weft(`${verb} --json`);
    assert.equal(status, 0);
    assert.equal(err, '');
    assert.equal(out.indexOf('\n'), out.length - 1);
    assert.equal(JSON.parse(out).v, 1);
  });
}

test('trace asks for each frame of a file and says where it ends', async () => {
  const frame = '02:00:00:00:00:0a 02:00:00:00:00:0b 10.0.0.1 10.0.0.2 udp 1 2';
  const { status, out } = await weft(`trace ${frame} --size 3000`);
  assert.equal(status, 0);
  assert.equal(
    out,
    '02000000000b, 3000 bytes\n  parse        3000 bytes\n  session      no session with beta\n' +
      '  dropped: no_session: There is no session with the peer.\n',
  );
  assert.equal((await weft('trace nonsense')).status, 2);
  const none = join(served.folder, 'none.pcap');
  assert.match((await weft(`trace ${none}`)).err, /none\.pcap cannot be read \(ENOENT\)\n$/);
  const empty = join(served.folder, 'empty.pcap');
  writeFileSync(
    empty,
    Buffer.concat([Buffer.from('d4c3b2a1', 'hex'), Buffer.alloc(16), Buffer.from([1, 0, 0, 0])]),
  );
  assert.match((await weft(`trace ${empty}`)).err, /empty\.pcap holds no frame\n$/);
});

test('metrics prints the exposition as it is', async () => {
  assert.match((await weft('metrics')).out, /^# HELP weft_frames_total /m);
});

test('colour appears on a terminal only, and not under NO_COLOR', async () => {
  assert.ok(!(await weft('peers')).out.includes(ESCAPE));
  assert.ok((await weft('peers', { terminal: true })).out.includes(`${ESCAPE}[32mup`));
  assert.ok(!(await weft('peers', { terminal: true, env: { NO_COLOR: '1' } })).out.includes(ESCAPE));
});

test('token create prints the token alone on stdout and its limits on stderr', async () => {
  const { status, out, err } = await weft(
    'token create --ttl 15m --uses 3 --name-prefix web- --allow bridge',
  );
  assert.equal(status, 0);
  assert.equal(out, 'weft1_abcdefgh\n');
  assert.match(
    err,
    /^weft: token lets 3 hosts named web-\.\.\. join within 15m with the right bridge; alpha counts/,
  );
  assert.deepEqual(served.agent.tokenRequests.at(-1), {
    ttlMs: 900_000,
    uses: 3,
    namePrefix: 'web-',
    name: null,
    segment: null,
    ...{ vnis: [], count: 'strict', underlay: [] },
    allow: ['bridge'],
    nodeLifeMs: null,
    seeds: [],
  });
});

test('token create --count each prints its bound, and passes every limit on', async () => {
  const { err, status } = await weft(
    'token create --count each --uses 2 --name-prefix db- --vni 1 --vni 7 --underlay 192.0.2.0/24 198.51.100.0/24',
  );
  assert.equal(status, 0, err);
  assert.match(
    err,
    /lets 2 hosts named db-\.\.\. join from 192\.0\.2\.0\/24 or 198\.51\.100\.0\/24 within 1h; each of alpha, beta counts: at most 2 by each admitter that cannot see what the others admit, 4 in all with the 2 of now/,
  );
  const sent = served.agent.tokenRequests.at(-1);
  assert.deepEqual(
    [sent?.count, sent?.vnis, sent?.underlay],
    ['each', [1, 7], ['192.0.2.0/24', '198.51.100.0/24']],
  );
  assert.match((await weft('token create --name db-1')).err, /lets one host named db-1 join/);
  assert.equal((await weft('token create --count some')).status, 2);
  assert.equal((await weft('token create --name -x')).status, 2);
});

test('admitters are given the right, listed, and lose it again', async () => {
  assert.equal((await weft('admitter add beta')).err, 'weft: beta may admit others\n');
  assert.match((await weft('admitter add delta')).err, /delta may admit others as soon as it is back/);
  const list = await weft('admitter list');
  assert.match(list.out, /^alpha \(this host\) +alive +yes +2 +2027-01-15T08:00:00\.000Z +holds the root$/m);
  assert.match(list.out, /^beta +alive +yes /m);
  assert.match(list.out, /^delta +dead +no .* is handed the right when it is back$/m);
  assert.equal(JSON.parse((await weft('admitter list --json')).out).admitters.length, 4);
  const removed = await weft('admitter remove beta');
  assert.match(removed.err, /beta may admit nobody any more; 1 certificate of it stays good; put out: omega/);
  assert.equal((await weft('admitter remove beta')).status, 4);
  assert.equal((await weft('admitter add nobody')).status, 5);
});

test('token create --out writes a file that only its owner reads, and never over another', async () => {
  const file = join(served.folder, 'token');
  const { out } = await weft(`token create --out ${file}`);
  assert.equal(out, '');
  assert.equal(readFileSync(file, 'utf8'), 'weft1_abcdefgh\n');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  writeFileSync(file, 'other');
  const again = await weft(`token create --out ${file}`);
  assert.equal(again.status, 78);
  assert.match(again.err, /^weft: token file .* \(EEXIST\): remove it or choose another\n$/);
  assert.equal(readFileSync(file, 'utf8'), 'other');
});

test('endpoints are added, listed and removed; what the agent refuses keeps its exit status', async () => {
  assert.equal((await weft('vtep add 192.0.2.7')).err, 'weft: 192.0.2.7 added\n');
  assert.match((await weft('vtep list')).out, /^192\.0\.2\.7 +1$/m);
  assert.equal((await weft('vtep remove 192.0.2.7')).status, 0);
  const absent = await weft('vtep remove 192.0.2.7');
  assert.deepEqual(
    [absent.status, absent.err],
    [5, 'weft: there is no vtep 192.0.2.7: see `weft vtep list`\n'],
  );
  assert.equal((await weft('vtep add 203.0.113.9')).status, 4);
  assert.equal((await weft('vtep add example.com')).status, 2);
});

test('leave asks a person and no script', async () => {
  const no = await weft('leave', { typed: 'n' });
  assert.deepEqual([no.status, no.err], [0, 'weft: nothing done\n']);
  assert.match((await weft('leave', { typed: 'yes' })).err, /alpha has left/);
  assert.match((await weft('leave')).err, /alpha has left/);
  assert.equal(JSON.parse((await weft('leave --json --yes', { typed: 'n' })).out).left, true);
});

test('init hands over flags, defaults and configuration', async () => {
  const { status, out, err, did } = await weft(
    'init --name alpha --address 10.80.0.1/24 --underlay 192.0.2.1:5000 --tap t0 --encap geneve --vni 77',
  );
  assert.equal(status, 0);
  const [options] = did as InitOptions[];
  assert.ok(options);
  const { config, ...rest } = options;
  assert.deepEqual(rest, {
    name: 'alpha',
    mesh: 'weft',
    mode: 'sealed',
    encap: 'geneve',
    vni: 77,
    recoveryOut: null,
  });
  assert.deepEqual(config.underlay, { ip: '192.0.2.1', port: 5000 });
  assert.deepEqual([config.address, config.tap, config.stateDir], ['10.80.0.1/24', 't0', served.folder]);
  assert.equal(out, '');
  assert.match(err, /^weft: warning: beware$/m);
});

test('run and lab hand over what they were given', async () => {
  const run = await weft(`--state ${served.folder}/x run`);
  assert.equal((run.did[0] as RunOptions).config.stateDir, `${served.folder}/x`);
  const lab = await weft('lab --hosts 5 --keep');
  assert.deepEqual(lab.did, [{ hosts: 5, keep: true }]);
  assert.equal(lab.status, 130);
});

const tokenOf = async (ran: Ran): Promise<string | null> => (ran.did[0] as UpOptions).readToken();

test('up reads its token from a file, standard input, the environment or, with a warning, the command line', async () => {
  const file = join(served.folder, 'join-token');
  writeFileSync(file, '  weft1_fromfile\n');
  assert.equal(await tokenOf(await weft(`up --name b --token-file ${file}`)), 'weft1_fromfile');
  assert.equal(
    await tokenOf(await weft('up --name b --token-file -', { stdin: 'weft1_stdin\n' })),
    'weft1_stdin',
  );
  assert.equal(
    await tokenOf(await weft('up --name b', { env: { WEFT_TOKEN_FILE: file } })),
    'weft1_fromfile',
  );
  assert.equal(await tokenOf(await weft('up --name b', { env: { WEFT_TOKEN: 'weft1_env' } })), 'weft1_env');
  assert.equal(await tokenOf(await weft('up')), null);
  const bare = await weft('up --name b --token weft1_argv');
  assert.equal(await tokenOf(bare), 'weft1_argv');
  assert.match(bare.err, /^weft: warning: --token shows the token/);
  assert.equal((await weft(`up --token x --token-file ${file}`)).status, 2);
});

test('up reads no token file before it has to join; a bad one is E_TOKEN naming it', async () => {
  const missing = await weft('up --name b --token-file /nonexistent/token');
  assert.equal(missing.status, 0);
  const refusal = { code: 'E_TOKEN', message: /^token file \/nonexistent\/token cannot be read \(ENOENT\)/ };
  await assert.rejects(tokenOf(missing), refusal);
  await assert.rejects(tokenOf(await weft('up --token-file -', { stdin: ' \n' })), { code: 'E_TOKEN' });
});

const USAGE_ERRORS: readonly (readonly [string, RegExp])[] = [
  ['sttus', /unknown command 'sttus' \(Did you mean status\?\)/],
  ['status --frob', /unknown option '--frob'/],
  ['status extra', /too many arguments/],
  ['--state', /argument missing/],
  ['init', /init needs a name/],
  ['init --name Bad_Name', /1 to 63 of a-z/],
  ['init --name a --mode open', /Allowed choices are sealed, plain/],
  ['init --name a --vni 16777216', /whole number from 1 to 16777215/],
  ['token create --ttl 5', /duration such as 90s/],
  ['token create --uses 0', /whole number from 1/],
  ['vtep add', /missing required argument/],
  ['lab --hosts 21', /whole number from 2 to 20/],
];

for (const [line, message] of USAGE_ERRORS) {
  test(`\`weft ${line}\` is a usage error in one line`, async () => {
    const { status, out, err } = await weft(line);
    assert.deepEqual([status, out], [2, '']);
    assert.match(err, message);
    assert.match(err, /^weft: [^\n]+\n$/);
  });
}

test('no verb at all shows help on stderr as a usage error; --help shows it on stdout', async () => {
  const bare = await weft('');
  assert.deepEqual([bare.status, bare.out], [2, '']);
  const help = await weft('--help');
  assert.deepEqual([help.status, help.err], [0, '']);
  assert.equal(help.out, bare.err);
  for (const verb of [
    'init',
    'token',
    'up',
    'run',
    'vtep',
    'status',
    'peers',
    'members',
    'fdb',
    'metrics',
    'lab',
    'leave',
    'version',
  ]) {
    assert.match(help.out, new RegExp(`^  ${verb} `, 'm'));
    assert.equal((await weft(`${verb} --help`)).status, 0);
  }
  assert.match(help.out, /weft up --token-file/);
});

test('a garbled configuration stops every verb with status 78 and its place', async () => {
  const file = join(served.folder, 'bad.yaml');
  writeFileSync(file, 'tap: [\n');
  const { status, err } = await weft(`--config ${file} run`);
  assert.equal(status, 78);
  assert.match(err, /^weft: \S+bad\.yaml:\d+:\d+: [^\n]+\n$/);
});

test('what is not foreseen is one line and status 1', async () => {
  served.agent.broken = true;
  const { status, err } = await weft('status');
  served.agent.broken = false;
  served.internalErrors.pop();
  assert.deepEqual([status, err], [1, 'weft: the agent failed to answer: its log says why\n']);
});

test('root shows the roots, waits for hosts while it rotates, and reads a recovery key from a file or stdin', async () => {
  const list = await weft('root list');
  assert.match(list.out, /^root +abababababababab, its key is here$/m);
  assert.match(list.out, /^waiting +beta$/m);
  const rotated = await weft('root rotate --wait 1s');
  assert.deepEqual([rotated.status, rotated.out], [0, '']);
  assert.match(rotated.err, /^weft: the root of the mesh is cdcdcdcdcdcdcdcd.*back up/);
  assert.deepEqual(served.agent.rootChanges.at(0), { finish: false });
  assert.deepEqual(served.agent.rootChanges.at(-1), { finish: true });
  const stdin = 'weftrecovery1_secret\n';
  const recovered = await weft('root recover --key-file - --stolen-from alpha --keep beta gamma --json', {
    stdin,
  });
  assert.equal(JSON.parse(recovered.out).state, 'done');
  const asked = { key: stdin.trim(), stolenFrom: 'alpha', keep: ['beta', 'gamma'], finish: false };
  assert.deepEqual(served.agent.rootChanges.at(-1), asked);
  const missing = await weft('root recover --key-file /nowhere/key');
  assert.match(missing.err, /^weft: --key-file \/nowhere\/key: /);
  assert.equal((await weft('root recover')).status, 2);
  assert.equal((await weft('root recover --key-file - --keep beta', { stdin })).status, 2);
  const wrong = await weft('root recover --key-file -', { stdin: 'none' });
  assert.deepEqual([wrong.status, wrong.err], [2, 'weft: this is no recovery key\n']);
});

test('policy set hands over cipher and mode, and something must be set', async () => {
  assert.equal((await weft('policy set --suite aes-256-gcm --segment 1')).status, 0);
  assert.equal((await weft('policy set --mode plain')).status, 0);
  assert.equal((await weft('policy set --segment 1')).status, 2);
  assert.equal((await weft('policy set --suite rot13')).status, 2);
});
