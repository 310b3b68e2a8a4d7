/** /metrics of an agent under way: clean for promtool, and true. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { run } from '../../agent/lab/command.ts';
import { Mesh, overlayOf } from './mesh.ts';
import { inside, iperf, ping } from './programs.ts';

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start({ hosts: 2 });
  await ping(mesh.host(0).node.namespace, await overlayOf(mesh.host(1)), { count: 100 });
});
after(() => mesh?.remove());

/** An HTTP GET from inside the host, as Prometheus would do it. */
async function scrape(path: string): Promise<{ status: number; text: string }> {
  const script = `const r = await fetch('http://127.0.0.1:9586${path}'); console.log(r.status); console.log(await r.text())`;
  const command = [process.execPath, '--input-type=module', '-e', script];
  const { out } = await run(inside(mesh.host(0).node.namespace, command));
  const [status = '', ...lines] = out.split('\n');
  return { status: Number(status), text: lines.join('\n') };
}

test('promtool finds nothing', async () => {
  const { status, text } = await scrape('/metrics');
  assert.equal(status, 200);
  assert.ok(text.length > 1000);
  const ended = await run(['promtool', 'check', 'metrics'], { input: text });
  assert.deepEqual([ended.status, ended.out, ended.err], [0, '', '']);
  const bad = await run(['promtool', 'check', 'metrics'], {
    input: `${text}\n# TYPE weft_bad counter\nweft_bad 1\n`,
  });
  assert.notEqual(bad.status, 0, 'promtool sees what is wrong');
});

test('what weft metrics prints is the same exposition', async () => {
  const names = (text: string): string[] =>
    text.split('\n').filter((line) => line.startsWith('# TYPE weft_'));
  assert.deepEqual(names(await mesh.host(0).weftOk(['metrics'])), names((await scrape('/metrics')).text));
});

test('bytes and packets of a peer grow by what was sent', async () => {
  const labels = { peer: 'host2' };
  const before = await mesh.metric(0, 'weft_peer_transmit_bytes_total', labels);
  const { bytes } = await iperf(
    mesh.host(1).node.namespace,
    mesh.host(0).node.namespace,
    await overlayOf(mesh.host(1)),
    [],
    1,
  );
  const grown = (await mesh.metric(0, 'weft_peer_transmit_bytes_total', labels)) - before;
  assert.ok(grown >= bytes && grown < bytes * 1.2, `${grown} for ${bytes}`);
  assert.ok((await mesh.metric(1, 'weft_peer_receive_bytes_total', { peer: 'host1' })) >= bytes);
});

test('state is told: peers, members, handshakes, the forwarding table', async () => {
  assert.equal(await mesh.metric(0, 'weft_peers', { state: 'up' }), 1);
  assert.equal(await mesh.metric(0, 'weft_gossip_members', { state: 'alive' }), 2);
  assert.ok((await mesh.metric(0, 'weft_handshakes_total', { result: 'ok' })) >= 1);
  assert.ok((await mesh.metric(0, 'weft_fdb_entries')) >= 1);
  assert.ok((await mesh.metric(0, 'weft_peer_rtt_seconds', { peer: 'host2' })) > 0);
});

test('what the kernel says of the sockets and the TAP is told, and both ways of gossip and handshakes', async () => {
  const text = await mesh.host(0).weftOk(['metrics']);
  for (const line of [
    /^weft_udp_socket_drops_total\{socket="gossip"\} 0$/m,
    /^weft_udp_socket_drops_total\{socket="sealed"\} 0$/m,
    /^weft_tap_queue_length [1-9]\d*$/m,
    /^weft_tap_queue_drops_total \d+$/m,
    /^weft_packets_total\{direction="receive",path="direct",kind="handshake"\} [1-9]/m,
    /^weft_gossip_messages_total\{direction="receive",type="ack"\} [1-9]/m,
    /^weft_gossip_messages_total\{direction="transmit",type="ping"\} [1-9]/m,
    /^weft_events_total\{type="admitted"\} 1$/m,
    /^weft_join_tokens\{state="used"\} 1$/m,
    /^weft_worker_stalls_total 0$/m,
  ])
    assert.match(text, line);
  const started = await mesh.metric(0, 'weft_handshakes_started_total');
  assert.ok(started >= (await mesh.metric(0, 'weft_handshakes_total', { result: 'ok' })), String(started));
});

test('frames that the kernel drops at a full TAP are counted: the agent is held', async () => {
  const { pid } = mesh.host(0);
  assert.ok(pid !== null);
  const before = await mesh.metric(0, 'weft_tap_queue_drops_total');
  process.kill(pid, 'SIGSTOP');
  try {
    const flood = `const s = require('dgram').createSocket('udp4'); let n = 0;
      const more = () => { for (let i = 0; i < 100; i++) s.send(Buffer.alloc(64), 9, '10.80.0.2'); if (++n < 60) setTimeout(more, 5); else s.close(); }; more();`;
    await run(inside(mesh.host(0).node.namespace, [process.execPath, '-e', flood]));
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  const drops = (await mesh.metric(0, 'weft_tap_queue_drops_total')) - before;
  assert.ok(drops > 0, `${drops} drops`);
});

test('a scrape of a live agent takes under 20 ms', async (t) => {
  let bestMs = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 10; i++) {
    await scrape('/metrics');
    // Each scrape shows what the one before took.
    bestMs = Math.min(bestMs, (await mesh.metric(0, 'weft_collect_duration_seconds')) * 1000);
  }
  t.diagnostic(`${bestMs.toFixed(2)} ms`);
  assert.ok(bestMs < 20, `${bestMs} ms`);
});

test('health endpoints answer', async () => {
  assert.equal((await scrape('/livez')).status, 200);
  assert.equal((await scrape('/readyz')).status, 200);
});

test('an agent keeps within its memory: PSS 80 MB, RSS 120 MB', async (t) => {
  const pid = mesh.host(0).pid;
  const rollup = await run(['cat', `/proc/${pid}/smaps_rollup`]);
  const kb = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(rollup.out)?.[1]);
  t.diagnostic(`RSS ${Math.round(kb('Rss') / 1024)} MB, PSS ${Math.round(kb('Pss') / 1024)} MB`);
  assert.ok(kb('Rss') > 0 && kb('Rss') <= 120 * 1024 && kb('Pss') <= 80 * 1024);
});
