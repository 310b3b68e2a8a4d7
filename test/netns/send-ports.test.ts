/** The pool of sending ports: used when every port of it gets through, left alone when a firewall or NAT is on the way. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { delay, until } from '../../agent/lab/wait.ts';
import { Mesh, overlayOf } from './mesh.ts';
import { iperf, pingDuring, reachable } from './programs.ts';

let mesh: Mesh;
let address: string;
before(async () => {
  mesh = await Mesh.start({ hosts: 2 });
  address = await overlayOf(mesh.host(1));
  await reachable(mesh.host(0).node.namespace, address);
  await mesh.inRouter(['nft', 'add', 'table', 'inet', 'watch']);
  await mesh.inRouter(['nft', 'add', 'chain inet watch forward { type filter hook forward priority 0; }']);
  await mesh.inRouter(['nft', 'add', 'set inet watch ports { typeof udp sport; flags dynamic; size 1024; }']);
  await mesh.inRouter(['nft', 'add', 'chain inet watch pool']);
  await mesh.inRouter(['nft', 'add', 'rule inet watch pool meta length gt 300 counter']);
  await mesh.inRouter(['nft', 'add', 'rule inet watch pool meta length gt 300 add @ports { udp sport }']);
  await mesh.inRouter(['nft', 'add', 'rule inet watch forward udp dport 7947 udp sport != 7947 jump pool']);
});
after(() => mesh?.remove());

/** Large datagrams from other ports than the listening one so far. */
async function fromPool(): Promise<number> {
  const text = await mesh.inRouter(['nft', 'list', 'chain', 'inet', 'watch', 'pool']);
  return Number(/counter packets (\d+)/.exec(text)?.[1]);
}

async function flows(seconds: number): Promise<void> {
  const [client, server] = [mesh.host(0).node.namespace, mesh.host(1).node.namespace];
  await iperf(server, client, address, ['-P', '8'], seconds);
}

test('a little traffic leaves from the listening port', async () => {
  const large = ['ping', '-q', '-c', '200', '-i', '0.01', '-s', '1000', address];
  await mesh.runOk(0, large);
  assert.equal(await fromPool(), 0);
});

test('flows of a load leave from several ports once each of them was acknowledged', async () => {
  await flows(4);
  assert.ok((await fromPool()) > 0);
  const ports = (await mesh.inRouter(['nft', 'list', 'set', 'inet', 'watch', 'ports'])).match(
    /\b\d{4,5}\b(?=[,\s}])/g,
  );
  assert.ok((ports?.length ?? 0) >= 3, String(ports));
  assert.equal(await mesh.metric(1, 'weft_dropped_frames_total', { reason: 'replay' }), 0);
});

test('a firewall that begins to pass the listening port alone costs a flow seconds, then nothing', async () => {
  await mesh.inRouter(['nft', 'add', 'rule inet watch pool drop']);
  const namespace = mesh.host(0).node.namespace;
  const counts = await pingDuring(namespace, address, () => delay(8000));
  assert.ok(counts.received > counts.sent / 3, `${counts.received} of ${counts.sent}`);
  const before = await fromPool();
  await flows(1);
  assert.equal(await fromPool(), before);
});

test('when the firewall goes, the pool comes back within 40 s', async () => {
  await mesh.inRouter(['nft', 'flush', 'chain', 'inet', 'watch', 'pool']);
  await mesh.inRouter(['nft', 'add', 'rule inet watch pool meta length gt 300 counter']);
  await until('the pool', { timeoutMs: 40_000, everyMs: 2000 }, async () => {
    await flows(1);
    return (await fromPool()) > 0 ? true : null;
  });
});
