#!/usr/bin/env node
/** Installs by apt the browser that `npm run test:ui` drives, if the machine lacks it. */
import { spawnSync } from 'node:child_process';

const missing = [
  ['chromium', 'chromium'],
  ['chromedriver', 'chromium-driver'],
]
  .filter(([tool]) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).error !== undefined)
  .map(([, name]) => name);
if (missing.length > 0) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const apt = (...args) => spawnSync('apt-get', args, { env, stdio: 'ignore' }).status === 0;
  const install = () => apt('install', '-qq', '-y', '--no-install-recommends', ...missing);
  if (!install() && !(apt('update', '-qq') && install())) {
    console.error(`test:ui: cannot install ${missing.join(' ')}: run apt-get install by hand`);
    process.exit(2);
  }
}
