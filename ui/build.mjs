#!/usr/bin/env node
/**
 * Builds the web page into dist/ui with vite: index.html, one script, one style sheet, an icon, the licences of what is in them; all names are flat, since the agent
 * serves one folder. Called by `npm run build`, after the types of ui/ have been checked. Reaches for nothing outside this repository.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const root = fileURLToPath(new URL('.', import.meta.url));
const outDir = fileURLToPath(new URL('../dist/ui/', import.meta.url));

// The folder below holds ui/model as the tests have compiled it: it stays.
mkdirSync(outDir, { recursive: true });
for (const entry of readdirSync(outDir, { withFileTypes: true }))
  if (entry.isFile()) rmSync(join(outDir, entry.name));

await build({
  root,
  base: './',
  configFile: false,
  logLevel: 'warn',
  publicDir: 'public',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir,
    emptyOutDir: false,
    assetsDir: '',
    // Data URLs are no source that the page's policy allows.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2022',
    chunkSizeWarningLimit: 1000,
  },
});

const bundled = ['preact', 'cytoscape', 'uplot'];
const licences = bundled.map((name) => {
  const folder = fileURLToPath(new URL(`../node_modules/${name}/`, import.meta.url));
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return `${name} ${version}\n\n${readFileSync(join(folder, 'LICENSE'), 'utf8').trim()}\n`;
});
writeFileSync(join(outDir, 'licences.txt'), licences.join('\n----\n\n'));
