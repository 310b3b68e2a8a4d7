/**
 * The web page on a live mesh of three hosts in namespaces, as a person uses it: `weft ui`, a real Chromium, mouse and keyboard.
 * Screenshots are kept in screenshots/.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { run } from '../../agent/lab/command.ts';
import { Mesh, overlayOf } from '../netns/mesh.ts';
import { inside, ping } from '../netns/programs.ts';
import { assertQuiet, Browser, KEY } from './browser.ts';
import { type PageProcess, startPage } from './page-process.ts';

let mesh: Mesh;
let page: PageProcess;
let browser: Browser;

before(async () => {
  mesh = await Mesh.start({ hosts: 3, config: 'metrics:\n  page: on\n' });
  for (const host of mesh.hosts.slice(1))
    await ping(mesh.host(0).node.namespace, await overlayOf(host), { count: 20 });
  page = await startPage(mesh.host(0).socketPath);
  browser = await Browser.start();
  await browser.open(page.url);
});
after(async () => {
  await browser?.close();
  await page?.stop();
  await mesh?.remove();
});

const canvas = (name: string): string => `Number(document.querySelector('.canvas').dataset.${name})`;
const stateOf = (host: string): string => `document.querySelector('[data-host="${host}"]')?.dataset.state`;
const says = (host: string): string => `document.querySelector('[data-host="${host}"]')?.textContent`;
const rows = `[...document.querySelectorAll('tbody tr')].map((row) => row.textContent)`;
const tab = (name: string): Promise<void> => browser.click(`#tab-${name}`);
const ground = 'getComputedStyle(document.body).backgroundColor';

test('the picture has three hosts and the two paths of this one, with what was measured', async () => {
  await browser.seen('three hosts', `${canvas('hosts')} === 3 && ${canvas('paths')} === 2`);
  await browser.seen(
    'measured paths',
    `['host2', 'host3'].every((name) => document.querySelector('[data-host="' + name + '"]').dataset.state === 'up'
      && /sealed, direct, round trip [\\d.]+ ms, loss 0 %, path MTU 1\\d\\d\\d/.test(document.querySelector('[data-host="' + name + '"]').textContent))`,
    60_000,
  );
  assert.match(await browser.evaluate<string>(says('host1')), /this host, up/);
  assert.match(await browser.evaluate<string>('document.title'), /^host1 · weft$/);
  const colours = await browser.evaluate<number>(
    `new Set([...document.querySelectorAll('canvas')].flatMap((c) => c.width === 0 ? [] :
      [...new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)])).size`,
  );
  assert.ok(colours > 10, `something is drawn: ${colours} colours`);
  await browser.screenshot('mesh-light');
});

test('tables of peers and FDB fill, a search narrows them, a column orders them', async () => {
  await tab('peers');
  await browser.seen('peers', `${rows}.length === 2`);
  assert.match((await browser.evaluate<string[]>(rows)).join(), /host2upalivedirect10\.80\.0\.[23]\/24/);
  await browser.screenshot('peers');
  await browser.press('/');
  await browser.press(...'host3');
  await browser.seen('the search', `${rows}.length === 1 && ${rows}[0].startsWith('host3')`);
  await browser.press(KEY.escape);
  await tab('fdb');
  await browser.seen('FDB', `${rows}.length >= 3 && ${rows}.some((row) => row.includes('this host'))`);
  const first = `${rows}[0]`;
  const before = await browser.evaluate<string>(first);
  await browser.click('thead th:first-child button');
  await browser.seen('the order', `${first} !== ${JSON.stringify(before)}`);
  const order = `document.querySelector('thead th').getAttribute('aria-sort')`;
  assert.equal(await browser.evaluate(order), 'descending');
  await browser.screenshot('fdb');
});

test('a drop shows up with what it means, and its burst as an event', async () => {
  const flood = `const s = require('dgram').createSocket('udp4'); let n = 0;
    const t = setInterval(() => { for (let i = 0; i < 20; i++) s.send(Buffer.alloc(40, 9), 7947, '${mesh.host(0).node.address}'); if (++n > 100) { clearInterval(t); s.close(); } }, 10);`;
  await run(inside(mesh.topology.router, [process.execPath, '-e', flood]));
  await tab('drops');
  await browser.seen(
    'the drop',
    `${rows}.some((row) => /^garbagereceive[\\d,]+\\d+Not a datagram of any known type and size\\.$/.test(row))`,
  );
  await browser.screenshot('drops');
  await tab('events');
  await browser.seen('the burst', `${rows}.some((row) => row.includes('drop-burstgarbage'))`);
  assert.ok((await browser.evaluate<string[]>(rows)).some((row) => /peer-uphost2up at /.test(row)));
  await browser.screenshot('events');
});

test('the keyboard reaches everything: views, tabs, hosts, theme, pause, help', async () => {
  const selected = `document.querySelector('[role=tab][aria-selected=true]').textContent`;
  await browser.press('2');
  await browser.seen('peers', `${selected} === 'Peers'`);
  await browser.press('1');
  await browser.seen('mesh', `${selected} === 'Mesh'`);
  await browser.evaluate(`document.getElementById('tab-mesh').focus()`);
  await browser.press(KEY.right);
  await browser.seen('the next tab', `${selected} === 'Peers' && document.activeElement.id === 'tab-peers'`);
  await browser.press(KEY.left);
  await browser.seen('the tab before', `${selected} === 'Mesh'`);
  await browser.press(KEY.tab);
  assert.equal(await browser.evaluate('document.activeElement.className.split(" ")[0]'), 'canvas');
  await browser.press(KEY.right, KEY.right);
  await browser.seen('a chosen host', `document.querySelector('aside.host h2')?.textContent === 'host2'`);
  const facts = await browser.evaluate<string>(`document.querySelector('aside.host').textContent`);
  assert.match(facts, /Pathsealed, direct.*Loss0 %.*Path MTU1\d\d\d bytes/);
  await browser.screenshot('host-chosen');
  await browser.press('?');
  await browser.seen('help', `document.querySelector('dialog').open`);
  await browser.screenshot('help');
  await browser.press(KEY.escape);
  await browser.seen('no help', `!document.querySelector('dialog').open`);
  await browser.press('p');
  await browser.seen('paused', `document.querySelector('.standing').textContent === 'Paused'`);
  await browser.press('p');
  await browser.seen('live', `document.querySelector('.standing').textContent === 'Live'`);
});

test('dark by the wish of the system, light or dark by choice, and kept over a reload', async () => {
  const light = 'rgb(246, 247, 248)';
  const dark = 'rgb(20, 24, 28)';
  const prefer = (value: string): Promise<unknown> =>
    browser.devtools('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value }] });
  await prefer('light');
  await browser.seen('light', `${ground} === '${light}'`);
  await prefer('dark');
  await browser.seen('dark', `${ground} === '${dark}'`);
  await browser.screenshot('mesh-dark');
  await browser.press('t');
  await browser.seen('light by choice', `${ground} === '${light}'`);
  await browser.click('button.theme');
  await browser.seen('dark by choice', `${ground} === '${dark}'`);
  await prefer('light');
  await browser.open(page.url);
  await browser.seen('still dark', `${ground} === '${dark}' && ${canvas('hosts')} === 3`);
});

test('every control has a name, and nothing was refused or failed so far', async () => {
  const nameless = `[...document.querySelectorAll('button, input, [role=listbox], [role=tabpanel], table')].filter((each) =>
    !(each.textContent.trim() || each.getAttribute('aria-label') || each.getAttribute('aria-labelledby'))).length`;
  assert.equal(await browser.evaluate(nameless), 0);
  await assertQuiet(browser);
});

test('another path than the printed one shows nothing', async () => {
  const answer = await fetch(new URL('/ui/data', page.url));
  assert.equal(answer.status, 404);
  assert.equal((await fetch(page.url, { method: 'POST' })).status, 405);
});

test('the metrics address serves the page where the configuration says so', async () => {
  const get = `fetch('http://127.0.0.1:9586/ui/data').then(async (r) => console.log((await r.json()).status.name))`;
  const ended = await run(inside(mesh.host(1).node.namespace, [process.execPath, '-e', get]));
  assert.deepEqual([ended.status, ended.out.trim()], [0, 'host2'], ended.err);
});

test('a reload takes the page from the metrics address', async () => {
  writeFileSync(mesh.configPath, 'metrics:\n  page: off\n');
  assert.match(await mesh.host(1).weftOk(['reload']), /metrics\.page/);
  const get = `fetch('http://127.0.0.1:9586/ui/').then((r) => console.log(r.status))`;
  const ended = await run(inside(mesh.host(1).node.namespace, [process.execPath, '-e', get]));
  assert.equal(ended.out.trim(), '404', ended.err);
});

test('a host that was killed turns down in the picture, and its event comes', async () => {
  await mesh.host(2).kill();
  await browser.seen('host3 down', `${stateOf('host3')} === 'down'`, 60_000);
  assert.equal(await browser.evaluate(stateOf('host2')), 'up');
  await browser.seen('one path up', `/ 1 of \\d paths up/.test(document.querySelector('.canvas').ariaLabel)`);
  await browser.screenshot('host-down');
  await tab('events');
  await browser.seen('the event', `${rows}.some((row) => row.includes('peer-downhost3'))`);
});

test('the page says when the agent is gone, and Ctrl-C ends weft ui with 0', async () => {
  await mesh.host(0).stop();
  await browser.seen(
    'not live',
    `/^Not live: no agent answers/.test(document.querySelector('.standing').textContent)`,
  );
  await browser.screenshot('agent-gone');
  assert.equal(await page.stop(), 0);
});
