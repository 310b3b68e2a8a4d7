import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { CONFIG_KEYS } from '../../agent/config/keys.ts';
import { formatHostSettings, loadConfig, loadSocketPath } from '../../agent/config/load.ts';
import { nearest } from '../../agent/config/nearest.ts';
import { WeftError } from '../../agent/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'weft-config-'));
const stateDir = join(folder, 'state');
mkdirSync(stateDir);
after(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

/** Loads `text` as the configuration file over an empty environment. */
function load(text: string, flags: Record<string, string> = {}, env: Record<string, string> = {}) {
  return loadConfig({ flags: { state_dir: stateDir, ...flags }, env, file: write('c.yaml', text) });
}

function complaint(run: () => unknown): { code: string; exit: number; text: string } {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof WeftError, `not a WeftError: ${error}`);
    return { code: error.code, exit: error.exitStatus, text: error.message.replace(`${folder}/`, '') };
  }
  assert.fail('it was accepted');
}

test('an empty file gives the defaults', () => {
  const config = load('');
  assert.equal(config.socket, '/run/weft/weft.sock');
  assert.equal(config.tap, 'weft0');
  assert.equal(config.name, null);
  assert.deepEqual(config.metrics.address, { ip: '127.0.0.1', port: 9586 });
  assert.equal(config.session.rekeyAfterPackets, 2 ** 34);
  assert.deepEqual(load('# only a comment\n'), config);
  assert.deepEqual(load('log:\n'), config);
});

test('a full file is read in its own spelling', () => {
  const config = load(
    [
      'name: alpha',
      'underlay: "[2001:db8::1]:5000"',
      'gossip_port: 7000',
      'log: {level: debug, format: json}',
      'metrics: {address: off}',
      'fdb:',
      '  per_peer_limit: 7',
    ].join('\n'),
  );
  assert.equal(config.name, 'alpha');
  assert.deepEqual(config.underlay, { ip: '2001:db8::1', port: 5000 });
  assert.equal(config.gossipPort, 7000);
  assert.deepEqual(config.log, { level: 'debug', format: 'json' });
  assert.equal(config.metrics.address, null);
  assert.equal(config.fdb.perPeerLimit, 7);
});

test('flags win over environment, environment over file, file over host settings, those over defaults', () => {
  write('state/host.yaml', 'tap: host0\naddress: 10.0.0.9/8\nunderlay: 192.0.2.9\nname: omega\n');
  const config = load(
    'tap: file0\naddress: 10.0.0.8/8\nunderlay: 192.0.2.8\n',
    { tap: 'flag0' },
    {
      WEFT_TAP: 'env0',
      WEFT_ADDRESS: '10.0.0.7/8',
    },
  );
  rmSync(join(stateDir, 'host.yaml'));
  assert.equal(config.tap, 'flag0');
  assert.equal(config.address, '10.0.0.7/8');
  assert.deepEqual(config.underlay, { ip: '192.0.2.8', port: 7947 });
  assert.equal(config.name, 'omega');
  assert.equal(config.gossipPort, 7946);
});

test('every key can be set in the environment under its own name', () => {
  const env = {
    WEFT_LOG_LEVEL: 'warn',
    WEFT_GOSSIP_PORT: '7001',
    WEFT_METRICS_ADDRESS: 'off',
    WEFT_NAME: '123',
    WEFT_TAP: '',
  };
  const config = load('', {}, env);
  assert.equal(config.log.level, 'warn');
  assert.equal(config.gossipPort, 7001);
  assert.equal(config.metrics.address, null);
  assert.equal(config.name, '123');
  assert.equal(config.tap, 'weft0');
  assert.equal(new Set(CONFIG_KEYS.map((key) => key.env)).size, CONFIG_KEYS.length);
});

const MISTAKES: readonly (readonly [string, string])[] = [
  ['gosip_port: 1', 'c.yaml:1:1: unknown key "gosip_port"; did you mean "gossip_port"?'],
  ['gossipPort: 1', 'c.yaml:1:1: unknown key "gossipPort"; did you mean "gossip_port"?'],
  ['log:\n  levl: info', 'c.yaml:2:3: unknown key "log.levl"; did you mean "log.level"?'],
  [
    'quux_frobnicate: 1',
    'c.yaml:1:1: unknown key "quux_frobnicate"; remove it, or see docs/CONFIG.md for the keys',
  ],
  [
    'log:\n  level: loud',
    'c.yaml:2:10: log.level: "loud" is not valid; must be one of debug, info, warn, error, silent',
  ],
  ['\ngossip_port: 99999', 'c.yaml:2:14: gossip_port: 99999 is not valid; must be at most 65535'],
  ['gossip_port: 1.5', 'c.yaml:1:14: gossip_port: 1.5 is not valid; must be a whole number'],
  ['gossip_port: many', 'c.yaml:1:14: gossip_port: "many" is not valid; must be a whole number'],
  [
    'gossip_port: 4789',
    'c.yaml:1:14: gossip_port: 4789 is not valid; must not be 4789, 6081 or 8472, which belong to plain tunnels',
  ],
  ['name: 42', 'c.yaml:1:7: name: 42 is not valid; must be text: put it in quotes'],
  ['name: Alpha', 'c.yaml:1:7: name: "Alpha" is not valid; must be 1 to 63 of a-z, 0-9 and inner hyphens'],
  [
    'address: 10.0.0.1/33',
    'c.yaml:1:10: address: "10.0.0.1/33" is not valid; must be an address with its prefix, such as 10.80.0.1/24, or auto',
  ],
  ['log: loud', 'c.yaml:1:6: log must hold settings; indent them under it'],
  ['just words', 'c.yaml:1:1: is not a list of settings; write `key: value` lines'],
  ['tap: "abc', 'c.yaml:1:10: Missing closing "quote; fix the YAML there'],
  ['tap: a\ntap: b', 'c.yaml:2:1: Map keys must be unique; fix the YAML there'],
];

for (const [text, line] of MISTAKES) {
  test(`names file, line, column and fix for ${JSON.stringify(text)}`, () => {
    assert.deepEqual(
      complaint(() => load(text)),
      { code: 'E_CONFIG', exit: 78, text: line },
    );
  });
}

test('a mistake in a flag or variable is named as such', () => {
  assert.match(complaint(() => load('', { tap: 'far-too-long-for-linux' })).text, /^--tap: tap: /);
  assert.match(
    complaint(() => load('', {}, { WEFT_FDB_LIMIT: '1' })).text,
    /^environment variable WEFT_FDB_LIMIT: .*must be at least 64$/,
  );
  assert.match(complaint(() => load('', {}, { WEFT_FDB_LIMIT: 'many' })).text, /must be a whole number$/);
});

test('garbled host settings are a state error that names the file', () => {
  write('state/host.yaml', 'tap: [1, 2]\n');
  const garbled = complaint(() => load(''));
  assert.equal(garbled.code, 'E_STATE');
  assert.match(garbled.text, /^state\/host\.yaml:1:6: tap: .* must be text$/);
  write('state/host.yaml', 'socket: /x\n');
  assert.match(complaint(() => load('')).text, /^state\/host\.yaml:1:1: unknown key "socket"/);
  rmSync(join(stateDir, 'host.yaml'));
});

test('a named file that is missing, unreadable or huge is refused in one line', () => {
  const missing = { flags: { state_dir: stateDir }, env: { WEFT_CONFIG: join(folder, 'none.yaml') } };
  assert.equal(
    complaint(() => loadConfig(missing)).text,
    'none.yaml: cannot be read (ENOENT); check the path',
  );
  const asFolder = { flags: { state_dir: stateDir }, env: {}, file: stateDir };
  assert.match(complaint(() => loadConfig(asFolder)).text, /cannot be read \(EISDIR\)/);
  assert.match(complaint(() => load('#'.repeat(300_000))).text, /keep it below/);
});

test('what formatHostSettings writes is read back', () => {
  const underlay = { ip: '2001:db8::1', port: 5000 };
  const settings = { name: 'alpha', address: '10.0.0.1/8', underlay, tap: 'x0' };
  write('state/host.yaml', formatHostSettings(settings));
  const { name, address, underlay: read, tap } = load('');
  rmSync(join(stateDir, 'host.yaml'));
  assert.deepEqual({ name, address, underlay: read, tap }, settings);
  assert.match(formatHostSettings({ ...settings, name: null, underlay: null }), /address: 10/);
});

test('the socket named by flag or variable is found without reading any file', () => {
  const file = join(folder, 'none.yaml');
  assert.equal(loadSocketPath({ flags: { socket: '/a' }, env: {}, file }), '/a');
  assert.equal(loadSocketPath({ flags: {}, env: { WEFT_SOCKET: '/b' }, file }), '/b');
  assert.equal(loadSocketPath({ flags: {}, env: {}, file: write('s.yaml', 'socket: /c') }), '/c');
  assert.match(
    complaint(() => loadSocketPath({ flags: {}, env: { WEFT_SOCKET: 'b' } })).text,
    /must be an absolute path/,
  );
});

test('no text as a file does anything but load or complain in one line', () => {
  const yamlish = fc.oneof(
    fc.string({ maxLength: 80 }),
    fc.string({ unit: fc.constantFrom(...'log:level \n-[]{}&*!|>\'"%@`,#?0x\t'), maxLength: 80 }),
  );
  fc.assert(
    fc.property(yamlish, (text) => {
      try {
        load(text);
      } catch (error) {
        assert.ok(error instanceof WeftError);
        assert.ok(!error.message.includes('\n'), error.message);
      }
    }),
    { numRuns: 400 },
  );
});

test('an alias bomb is refused', () => {
  const levels = ['a: &a [x, x, x, x, x, x, x, x, x]'];
  for (let i = 0; i < 8; i++) {
    const [from, to] = [String.fromCharCode(97 + i), String.fromCharCode(98 + i)];
    levels.push(`${to}: &${to} [${new Array(9).fill(`*${from}`).join(', ')}]`);
  }
  assert.equal(complaint(() => load(levels.join('\n'))).code, 'E_CONFIG');
  const inList = `log: [&a [${'x, '.repeat(20)}], &b [${'*a, '.repeat(20)}], [${'*b, '.repeat(20)}]]`;
  assert.equal(complaint(() => load(inList)).code, 'E_CONFIG');
});

test('a guess is made only for a near miss', () => {
  assert.equal(nearest('metrics.adress', ['metrics.address', 'log.level']), 'metrics.address');
  assert.equal(nearest('zzzz', ['metrics.address', 'log.level']), null);
});
