import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { configReference } from '../../agent/config/docs.ts';
import { CONFIG_KEYS } from '../../agent/config/keys.ts';

/** From the repository's root, where tests run; WEFT_WRITE_DOCS=1 writes it instead of comparing. */
const FILE = 'docs/CONFIG.md';

test('docs/CONFIG.md says what the schema says (WEFT_WRITE_DOCS=1 rewrites it)', () => {
  if (process.env.WEFT_WRITE_DOCS === '1') writeFileSync(FILE, configReference());
  assert.equal(readFileSync(FILE, 'utf8'), configReference());
});

test('every key is documented', () => {
  assert.ok(CONFIG_KEYS.length > 15);
  for (const key of CONFIG_KEYS) assert.ok(key.description.endsWith('.'), `${key.yaml} lacks a description`);
});
