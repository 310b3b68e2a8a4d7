#!/usr/bin/env node
/**
 * `npm run package [-- FOLDER]`: builds weft_VERSION_ARCH.deb from what `npm run build` left, into FOLDER (default: the
 * current one). Layout: /usr/lib/weft (program and its run-time dependencies), /usr/bin/weft, unit, sysctl, man page.
 * Never downloads anything: the dependencies are those installed here.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const { version, description } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const arch = execFileSync('dpkg', ['--print-architecture'], { encoding: 'utf8' }).trim();
const out = resolve(process.argv[2] ?? '.', `weft_${version}_${arch}.deb`);
const stage = mkdtempSync(join(tmpdir(), 'weft-deb-'));

const copy = (from, to) => {
  mkdirSync(dirname(join(stage, to)), { recursive: true });
  cpSync(join(ROOT, from), join(stage, to), { recursive: true });
};
const write = (to, text, mode = 0o644) => {
  mkdirSync(dirname(join(stage, to)), { recursive: true });
  writeFileSync(join(stage, to), text);
  chmodSync(join(stage, to), mode);
};

try {
  chmodSync(stage, 0o755);
  for (const path of ['dist/agent', 'dist/gossip', 'package.json']) copy(path, `usr/lib/weft/${path}`);
  // Without the folders that hold parts of the page compiled for its tests.
  for (const file of readdirSync(join(ROOT, 'dist/ui'), { withFileTypes: true }))
    if (file.isFile()) copy(`dist/ui/${file.name}`, `usr/lib/weft/dist/ui/${file.name}`);
  // The addon's JavaScript and compiled half are a dependency like any other; npm keeps it as a link to the workspace.
  for (const path of ['package.json', 'dist', 'build'])
    copy(`tun-tap/${path}`, `usr/lib/weft/node_modules/tun-tap/${path}`);
  for (const path of runtimeDependencies()) copy(path, `usr/lib/weft/${path}`);
  copy('docker/systemd/weft.service', 'usr/lib/systemd/system/weft.service');
  copy('docker/systemd/60-weft.conf', 'usr/lib/sysctl.d/60-weft.conf');
  copy('docs/weft.8', 'usr/share/man/man8/weft.8');
  copy('LICENSE', 'usr/share/doc/weft/copyright');
  write('etc/weft/config.yaml', '# Every key: docs/CONFIG.md, or weft config show.\n{}\n');
  mkdirSync(join(stage, 'usr/bin'), { recursive: true });
  chmodSync(join(stage, 'usr/lib/weft/dist/agent/main.js'), 0o755);
  symlinkSync('../lib/weft/dist/agent/main.js', join(stage, 'usr/bin/weft'));
  write('DEBIAN/control', control());
  write('DEBIAN/conffiles', '/etc/weft/config.yaml\n');
  for (const name of ['postinst', 'prerm', 'postrm']) {
    write(`DEBIAN/${name}`, readFileSync(new URL(name, import.meta.url), 'utf8'), 0o755);
  }
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zgzip', '--build', stage, out], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  console.log(out);
} finally {
  rmSync(stage, { recursive: true, force: true });
}

/** Folders below node_modules, relative to the repository. */
function runtimeDependencies() {
  const list = execFileSync('npm', ['ls', '--omit=dev', '--all', '--parseable'], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const prefix = join(ROOT, 'node_modules/');
  return list
    .split('\n')
    .filter((path) => path.startsWith(prefix) && path !== `${prefix}tun-tap`)
    .map((path) => path.slice(ROOT.length));
}

function control() {
  return `Package: weft
Version: ${version}
Architecture: ${arch}
Maintainer: The weft authors <weft@localhost>
Depends: nodejs (>= 20.19), libc6, iproute2, adduser
Section: net
Priority: optional
Description: ${description}
`;
}
