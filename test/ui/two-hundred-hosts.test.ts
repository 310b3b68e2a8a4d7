/** The page with 200 hosts and a full FDB, served from a made-up agent: how long it takes to stand, and that it keeps up. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PageServer } from '../../agent/cli/page-server.ts';
import { systemRng } from '../../agent/clock.ts';
import { Page } from '../../agent/control/page.ts';
import { assertQuiet, Browser } from './browser.ts';
import { madeUpAgent } from './made-up-agent.ts';

const HOSTS = 200;
/** From the navigation to 200 hosts on the canvas, on two busy cores. */
const STANDS_MS = 5000;
/** Half of the turns of the page's event loop, which are asked for each 10 ms, take no longer while reports come. */
const TURN_MS = 100;

let agent: Server;
let page: PageServer;
let browser: Browser;
const folder = mkdtempSync(join(tmpdir(), 'weft-ui-'));

before(async () => {
  const served = new Page(madeUpAgent(HOSTS));
  agent = createServer((request, response) => {
    void served.answer(request, response, new URL(request.url ?? '/', 'http://weft'));
  });
  const socketPath = join(folder, 'weft.sock');
  await new Promise<void>((resolve) => void agent.listen(socketPath, resolve));
  page = await PageServer.start({ socketPath, port: 0, rng: systemRng });
  browser = await Browser.start();
});
after(async () => {
  await browser?.close();
  await page?.close();
  await new Promise((resolve) => void agent?.close(resolve));
  rmSync(folder, { recursive: true });
});

test(`${HOSTS} hosts stand within ${STANDS_MS} ms`, async (t) => {
  const tookMs: number[] = []; // bounded by three
  // The best of three: what else the machine does only ever makes it longer.
  while (tookMs.length < 3 && !tookMs.some((ms) => ms < STANDS_MS)) {
    const startMs = performance.now();
    await browser.open(page.url);
    await browser.seen('the hosts', `Number(document.querySelector('.canvas')?.dataset.hosts) === ${HOSTS}`);
    tookMs.push(Math.round(performance.now() - startMs));
  }
  t.diagnostic(`${HOSTS} hosts after ${tookMs.join(', ')} ms`);
  await browser.screenshot('two-hundred-hosts');
  assert.ok(Math.min(...tookMs) < STANDS_MS, `${tookMs} ms`);
});

test('it keeps up with a report each second', async (t) => {
  await browser.evaluate(`(window.gaps = [], window.last = performance.now(), window.ticker = setInterval(() => {
    const now = performance.now(); window.gaps.push(now - window.last); window.last = now; }, 10), 0)`);
  await browser.seen(
    'ten seconds of turns',
    'window.gaps.reduce((sum, gap) => sum + gap, 0) > 10000',
    60_000,
  );
  const gaps = await browser.evaluate<number[]>('(clearInterval(window.ticker), window.gaps)');
  const longest = Math.round(Math.max(...gaps));
  const median = gaps.toSorted((a, b) => a - b)[Math.floor(gaps.length / 2)] ?? 0;
  t.diagnostic(`longest turn ${longest} ms, median ${median.toFixed(1)} ms`);
  assert.ok(median < TURN_MS, `${median} ms`);
});

test('tables draw 100 rows and more when asked; the FDB of 65,536 says how many there are', async () => {
  const rows = `document.querySelectorAll('tbody tr').length`;
  await browser.click('#tab-peers');
  await browser.seen('peers', `${rows} === 100`);
  await browser.click('button.more');
  await browser.seen('all peers', `${rows} === ${HOSTS - 1}`);
  await browser.click('#tab-fdb');
  await browser.seen(
    'FDB',
    `${rows} === 100 && document.querySelector('.count').textContent === '100 of 65536'`,
  );
  await browser.click('.find');
  await browser.press(...'00:00:12:34');
  await browser.seen('one entry', `${rows} === 1`);
  await browser.screenshot('two-hundred-hosts-fdb');
  await assertQuiet(browser);
});
