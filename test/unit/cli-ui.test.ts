/** `weft ui` as a process: what it prints, what is there while it runs, and how it ends. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { run, WEFT } from '../../agent/lab/command.ts';
import { startPage } from '../ui/page-process.ts';
import { type Served, serveFakeAgent } from './control-fake-agent.ts';

let served: Served;
before(async () => {
  served = await serveFakeAgent();
});
after(() => served.stop());

test('the page is at the printed URL until Ctrl-C, which ends the verb with 0', async () => {
  const page = await startPage(served.socket);
  try {
    const answer = await fetch(page.url);
    assert.equal(answer.status, 200);
    assert.match(await answer.text(), /<div id="app">/);
  } finally {
    assert.equal(await page.stop(), 0);
  }
  await assert.rejects(fetch(page.url));
});

test('without an agent it says so at once, with status 3', async () => {
  const ended = await run([...WEFT, '--socket', '/nonexistent/weft.sock', 'ui']);
  assert.equal(ended.status, 3);
  assert.match(ended.err, /no agent answers at \/nonexistent\/weft\.sock/);
});
