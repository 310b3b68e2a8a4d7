/**
 * What `weft doctor` works out of a packet filter's rules against what the kernel does: random rulesets, one real datagram
 * each. A verdict that is called certain must be the kernel's.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { type NftRuleset, parseRuleset } from '../../agent/host/nft-ruleset.ts';
import { obstacleTo, type Probe } from '../../agent/host/nft-verdict.ts';
import { delay, until } from '../../agent/lab/wait.ts';
import { Mesh } from './mesh.ts';
import { inside } from './programs.ts';

const PORT = 7947;
const RULESETS = 200;
const SEED = Number(process.env.WEFT_SEED ?? 20261123);

let mesh: Mesh;
let receiver: ChildProcess;
let sender: ChildProcess;
let arrived = '';

/** Prints every payload that comes to the port. */
const RECEIVE = `const s = require('dgram').createSocket('udp4');
  s.on('message', (m) => console.log(m.toString())); s.bind(${PORT}, () => console.log('bound')); process.stdin.resume();`;
/** Sends each line of its input from a port of its own. */
const SEND = (
  to: string,
): string => `require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const s = require('dgram').createSocket('udp4'); s.on('error', () => {}); s.send(line, ${PORT}, '${to}', () => s.close()); });`;

before(async () => {
  mesh = await Mesh.underlay({ hosts: 2 });
  const start = (index: number, script: string): ChildProcess => {
    const [program = '', ...args] = inside(mesh.host(index).node.namespace, [process.execPath, '-e', script]);
    return spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  };
  receiver = start(0, RECEIVE);
  receiver.stdout?.setEncoding('utf8').on('data', (text: string) => {
    arrived += text;
  });
  sender = start(1, SEND(mesh.host(0).node.address));
  await until('receiver', { timeoutMs: 10_000, everyMs: 20 }, () =>
    arrived.includes('bound') ? true : null,
  );
  await until('path', { timeoutMs: 10_000, everyMs: 100 }, async () =>
    (await comes('hello', 100)) ? true : null,
  );
});
after(async () => {
  for (const child of [receiver, sender]) child?.kill('SIGKILL');
  await mesh?.remove();
});

/** Whether a datagram with this payload gets through within some time. */
async function comes(payload: string, patienceMs: number): Promise<boolean> {
  sender.stdin?.write(`${payload}\n`);
  for (let waited = 0; waited < patienceMs; waited += 4) {
    await delay(4);
    if (arrived.includes(`${payload}\n`)) return true;
  }
  return false;
}

/** xorshift32: the same rulesets for the same seed. */
function random(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** A ruleset in nft's language, with what matches our datagram, what nearly does, and what does not. */
function rulesetText(pick: (below: number) => number, own: string, peer: string): string {
  const one = <T>(list: readonly T[]): T => list[pick(list.length)] as T;
  const net = peer.replace(/\d+$/, '0/24');
  const matches = [
    `udp dport ${PORT}`,
    `udp dport != ${PORT}`,
    'udp dport 53',
    `udp dport { 53, ${PORT} }`,
    `udp dport 7000-8000`,
    'udp dport { 1-100, 9000-9999 }',
    'udp dport @ours',
    `th dport ${PORT}`,
    'tcp dport 22',
    `tcp dport ${PORT}`,
    `ip saddr ${peer}`,
    `ip saddr ${net}`,
    `ip saddr != ${net}`,
    'ip saddr { 198.51.100.0/24, 203.0.113.7 }',
    'ip saddr @friends',
    `ip daddr ${own}`,
    'ip protocol udp',
    'ip protocol icmp',
    'meta l4proto udp',
    'meta l4proto { tcp, udp }',
    'meta nfproto ipv4',
    'meta nfproto ipv6',
    'ip6 saddr ::1',
    'iifname "eth0"',
    'iifname "eth*"',
    'iifname "lo"',
    'iif lo',
    'ct state new',
    'ct state established,related',
    'ct state { new, established }',
    'ct state invalid',
    'icmp type echo-request',
  ];
  const verdict = (depth: number): string =>
    one([
      'accept',
      'drop',
      'accept',
      'drop',
      'counter',
      'return',
      ...(depth > 0
        ? [
            'jump side',
            'goto side',
            `udp dport vmap { 53 : drop, ${PORT} : ${one(['accept', 'drop', 'jump side', 'return'])} }`,
          ]
        : []),
    ]);
  const rule = (depth: number): string => {
    const parts = Array.from({ length: pick(3) }, () => one(matches));
    return `    ${[...parts, ...(pick(4) === 0 ? ['counter'] : []), verdict(depth)].join(' ')}`;
  };
  const rules = (depth: number): string => Array.from({ length: 1 + pick(4) }, () => rule(depth)).join('\n');
  const chain = (name: string): string => {
    const hook = one(['input', 'input', 'input', 'prerouting', 'output', 'forward']);
    return `  chain ${name} {\n    type filter hook ${hook} priority ${one([-10, 0, 5])}; policy ${one(['accept', 'accept', 'drop'])};\n${rules(1)}\n  }`;
  };
  const table = (family: string, i: number): string => {
    const sets = `  set ours { type inet_service; elements = { ${one(['53', `53, ${PORT}`])} }; }\n  set friends { type ipv4_addr; flags interval; elements = { ${one([peer, net, '198.51.100.0/24'])} }; }`;
    const usable = (text: string): string =>
      family === 'inet'
        ? text
        : text
            .split('\n')
            .filter((line) =>
              family === 'ip'
                ? !/ip6|nfproto/.test(line)
                : !/\bip (saddr|daddr|protocol)|icmp type|nfproto|friends/.test(line),
            )
            .join('\n');
    const chains = Array.from({ length: 1 + pick(2) }, (_, n) => chain(`base${n}`));
    return `table ${family} t${i} {\n${usable(sets)}\n  chain side {\n${usable(rules(0))}\n  }\n${usable(chains.join('\n'))}\n}`;
  };
  return Array.from({ length: 1 + pick(2) }, (_, i) => table(one(['inet', 'inet', 'ip', 'ip6']), i)).join(
    '\n',
  );
}

test(`${RULESETS} random rulesets do to a real datagram what was worked out (seed ${SEED})`, async (t) => {
  const pick = random(SEED);
  const own = mesh.host(0).node.address;
  const peer = mesh.host(1).node.address;
  const probe: Probe = {
    direction: 'in',
    family: 4,
    device: 'eth0',
    source: peer,
    destination: own,
    destinationPort: PORT,
  };
  const seen = { passed: 0, dropped: 0, unsure: 0 };
  for (let i = 0; i < RULESETS; ) {
    const text = rulesetText(pick, own, peer);
    const made = await mesh.run(0, ['nft', '-f', '-'], { input: `flush ruleset\n${text}\n` });
    // nft refuses a rule whose matches contradict each other.
    if (made.status !== 0) continue;
    i++;
    const listing = JSON.parse(await mesh.runOk(0, ['nft', '-j', 'list', 'ruleset'])) as {
      nftables: unknown[];
    };
    const ruleset: NftRuleset = parseRuleset(listing.nftables);
    const obstacle = obstacleTo(ruleset, probe);
    if (obstacle !== null && !obstacle.certain) {
      seen.unsure++;
      continue;
    }
    const came = await comes(`payload-${i}-`, obstacle === null ? 3000 : 60);
    assert.equal(came, obstacle === null, `ruleset ${i}: ${JSON.stringify(obstacle)}\n${text}`);
    if (came) seen.passed++;
    else seen.dropped++;
  }
  t.diagnostic(JSON.stringify(seen));
  assert.ok(seen.passed > RULESETS / 5 && seen.dropped > RULESETS / 5, JSON.stringify(seen));
  assert.ok(seen.unsure < RULESETS / 10, JSON.stringify(seen));
});
