/**
 * A host that appears somewhere else, as after a new DHCP lease or a NAT that has forgotten: what it sends shows the others
 * where it is, and nothing waits for a timer. The criterion of docs/RELIABILITY.md (8a to 8c) is tighter, for a machine that does nothing else.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { delay, until } from '../../agent/lab/wait.ts';
import { Mesh, overlayOf } from './mesh.ts';
import { pingDuring, reachable } from './programs.ts';

const NEW = '10.89.2.77';
/** A ping each 10 ms: without data that starts the move more than 100 are lost. */
const MAX_LOST_PINGS = 15;

let mesh: Mesh;
let address: string;
before(async () => {
  mesh = await Mesh.start({ hosts: 2 });
  address = await overlayOf(mesh.host(0));
  await reachable(mesh.host(1).node.namespace, address);
});
after(() => mesh?.remove());

/** The second host is seen at NEW, and what goes to where it was is lost. */
async function move(): Promise<void> {
  const real = mesh.host(1).node.address;
  const file = join(mesh.folder, 'move.nft');
  writeFileSync(
    file,
    `table inet move {
       chain first { type filter hook prerouting priority -300;
         ip daddr ${real} drop
         ip daddr ${NEW} ip daddr set ${real}
       }
       chain last { type filter hook postrouting priority 300;
         ip saddr ${real} ip saddr set ${NEW}
       }
     }`,
  );
  await mesh.inRouter(['nft', '-f', file]);
}

test('a host that appears at another address is followed by its own frames, within a few round trips', async () => {
  const counts = await pingDuring(mesh.host(1).node.namespace, address, async () => {
    await delay(500);
    await move();
    await delay(2500);
  });
  assert.ok(counts.sent > 200, `${counts.sent} sent`);
  const lost = counts.sent - counts.received;
  assert.ok(lost <= MAX_LOST_PINGS, `${lost} of ${counts.sent} pings lost`);
  assert.equal(counts.duplicates, 0);
  await until('the new endpoint', { timeoutMs: 5000 }, async () =>
    (await mesh.host(0).peers())[0]?.endpoint === `${NEW}:7947` ? true : null,
  );
});
