/** `weft bugreport` of a real host that was run at debug level: no byte of a key of its state directory is inside. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Mesh } from './mesh.ts';

let mesh: Mesh;
let token = '';
before(async () => {
  mesh = await Mesh.start({ hosts: 2, config: 'log:\n  level: debug\n  format: json\n' });
  token = readFileSync(await mesh.token(), 'utf8').trim();
});
after(() => mesh?.remove());

/** 12 bytes in a row: no other 12 bytes of a report are the same by chance. */
const WINDOW_BYTES = 12;

for (const index of [0, 1])
  test(`the report of host${index + 1} holds its state and no window of any of its keys`, async () => {
    const host = mesh.host(index);
    const file = join(mesh.folder, `report-${index}.tar.gz`);
    await host.weftOk(['bugreport', '--out', file, '--log', host.logPath]);
    const archive = gunzipSync(readFileSync(file));
    const text = archive.toString('latin1');
    const lower = text.toLowerCase();
    assert.ok(text.includes(`"name": "${host.name}"`), 'status is inside');
    assert.ok(text.includes('"msg":"ready"'), 'the log is inside');
    const names = readdirSync(host.stateDir).filter((name) => name.endsWith('.key'));
    assert.ok(names.length >= (index === 0 ? 5 : 4), names.join());
    for (const name of names) {
      const key = readFileSync(join(host.stateDir, name));
      assert.ok(text.includes(`"name": "${name}"`), `${name} is listed`);
      // The second half of a signing key is its public key, which is no secret.
      const secret = name.includes('sign') || name.includes('root') ? key.subarray(0, 32) : key;
      for (let at = 0; at + WINDOW_BYTES <= secret.length; at++) {
        const window = secret.subarray(at, at + WINDOW_BYTES);
        assert.ok(!archive.includes(window), `${name} raw at ${at}`);
        assert.ok(!lower.includes(window.toString('hex')), `${name} hex at ${at}`);
        assert.ok(!text.includes(window.toString('base64')), `${name} base64 at ${at}`);
        assert.ok(!text.includes(window.toString('base64url')), `${name} base64url at ${at}`);
      }
    }
    assert.ok(token.length > 20 && !text.includes(token.slice(0, 20)));
  });

test('the same search finds a key that is there', () => {
  const { stateDir } = mesh.host(0);
  const key = readFileSync(join(stateDir, 'mesh-psk.key'));
  const leak = Buffer.concat([Buffer.from('log: '), Buffer.from(key.toString('base64'))]).toString('latin1');
  assert.ok(leak.includes(key.subarray(0, WINDOW_BYTES).toString('base64')));
});
