/** How `npm run bench:profile` sorts what perf(1) has seen. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { classOf, languageShare, parseSample, type Sample, sharesOf } from '../bench/profile-classes.ts';

const sample = (symbol: string, object: string): Sample => ({ thread: 7, symbol, object });

test('reads a line of perf script, spaces and brackets in names included', () => {
  assert.deepEqual(parseSample('18000     55d2c1a2b3c4 aesni_gcm_encrypt (/usr/local/bin/node)'), {
    thread: 18000,
    symbol: 'aesni_gcm_encrypt',
    object: '/usr/local/bin/node',
  });
  const js = parseSample('  42 7f00 JS:*run file:///x/transmit.js:10:5 (/tmp/perf-41.map)');
  assert.equal(js?.symbol, 'JS:*run file:///x/transmit.js:10:5');
  assert.equal(js?.object, '/tmp/perf-41.map');
  const cpp = parseSample('  42 7f00 v8::Foo(int, v8::Bar*) (/usr/bin/node)');
  assert.deepEqual([cpp?.symbol, cpp?.object], ['v8::Foo(int, v8::Bar*)', '/usr/bin/node']);
  assert.equal(parseSample(''), null);
  assert.equal(parseSample('# captured on: Monday'), null);
});

test('tells kernel, cipher, addon, TypeScript, binding and C library apart', () => {
  const known: readonly [string, string, string][] = [
    ['kernel', '_copy_from_iter', '[kernel.kallsyms]'],
    ['kernel', 'tun_chr_write_iter', '/lib/modules/6.1/kernel/drivers/net/tun.ko'],
    ['crypto', '_aesni_ctr32_ghash_6x', '/usr/local/bin/node'],
    ['crypto', 'EVP_CIPHER_CTX_ctrl', '/usr/local/bin/node'],
    ['crypto', 'ossl_gcm_stream_update', '/usr/local/bin/node'],
    ['crypto', 'ChaCha20_avx512', '/usr/local/bin/node'],
    ['crypto', 'aes_gcm_enc_256_vaes_avx512', '/usr/lib/x86_64-linux-gnu/libIPSec_MB.so.1.3.0'],
    ['addon', 'split_stamp', '/x/tun-tap/build/linux-x64/tun-tap.node'],
    ['typescript', 'JS:*run', '/tmp/perf-41.map'],
    ['typescript', 'Builtins_AtomicsLoad', '/usr/local/bin/node'],
    ['binding', 'napi_get_value_int64', '/usr/local/bin/node'],
    ['binding', 'v8::internal::Heap::CollectGarbage', '/usr/local/bin/node'],
    ['libc', '__strcmp_evex', '/usr/lib/x86_64-linux-gnu/libc.so.6'],
    ['other', '[unknown]', '/usr/lib/libfoo.so'],
  ];
  for (const [want, symbol, object] of known) assert.equal(classOf(sample(symbol, object)), want, symbol);
});

test('shares add up to 1 and the language is charged with its binding', () => {
  const kernel = sample('f', '[kernel.kallsyms]');
  const samples = [
    ...Array.from({ length: 95 }, () => kernel),
    ...Array.from({ length: 3 }, () => sample('JS:*run', '/tmp/perf-41.map')),
    ...Array.from({ length: 2 }, () => sample('napi_wrap', '/usr/bin/node')),
  ];
  const shares = sharesOf(samples);
  assert.equal(shares.samples, 100);
  assert.ok(Math.abs(languageShare(shares) - 0.05) < 1e-9);
  assert.ok(Math.abs(Object.values(shares.share).reduce((sum, part) => sum + part, 0) - 1) < 1e-9);
  assert.deepEqual(shares.top[0], { symbol: 'f', class: 'kernel', share: 0.95 });
});
