/** docs/OPERATIONS.md, typed: how a machine gets its `weft`. */
import assert from 'node:assert/strict';
import { ROOT } from '../../unit/style-source.ts';
import type { Machine } from './machine.ts';
import type { Place, Typist } from './walk.ts';

export type MeshPlace = Place<'alpha' | 'beta' | 'gamma' | 'stranger'>;

/** A repository to clone: this tree's files, whether or not it is a clone itself. */
export async function repositoryFor(machine: Machine, root: string): Promise<string> {
  const git = `git --git-dir=/root/origin.git --work-tree=${root}`;
  const author = '-c user.name=test -c user.email=test@localhost';
  await machine.ok(
    `git init -q --bare /root/origin.git && ${git} add -A && ${git} ${author} commit -q -m all`,
  );
  return '/root/origin.git';
}

/** /opt/weft as it is on another machine, from which it was copied, and a link to it. */
export async function linked(host: Typist): Promise<void> {
  await host.machine.ok('mkdir -p /opt/weft');
  await host.machine.ok(
    `mkdir -p /run/layers/weft/up /run/layers/weft/work &&
     mount -t overlay overlay -o lowerdir=${ROOT},upperdir=/run/layers/weft/up,workdir=/run/layers/weft/work /opt/weft`,
  );
  await link(host);
}

/** The form that needs no npm. */
async function link(host: Typist): Promise<void> {
  await host.types('ln -s /opt/weft/dist/agent/main.js /usr/local/bin/weft', /^$/);
  await host.types('chmod +x /opt/weft/dist/agent/main.js', /^$/);
}

export async function install({ at: { alpha, beta, gamma } }: MeshPlace): Promise<void> {
  const fill = { URL: await repositoryFor(alpha.machine, ROOT) };
  await alpha.types('git clone URL /opt/weft && cd /opt/weft', /^Cloning into '\/opt\/weft'/, { fill });
  await alpha.machine.builtIn('/opt/weft');
  await link(alpha);
  for (const host of [beta, gamma]) await linked(host);
  for (const host of [alpha, beta]) await host.types('weft version', /^weft \d+\.\d+\.\d+/);
  await alpha.machine.ok('mkdir -p /etc/bash_completion.d');
  await alpha.types('weft completion bash > /etc/bash_completion.d/weft', /^$/);
  const offered = 'source /etc/bash_completion.d/weft; complete -p weft';
  assert.match(await alpha.machine.ok(offered), /^complete .*weft$/m);
  await alpha.types('weft completion --help', /bash.*zsh.*fish/s);
  await alpha.types('install -Dm644 /opt/weft/docs/weft.8 /usr/local/share/man/man8/weft.8', /^$/);
  assert.match(await alpha.machine.read('/usr/local/share/man/man8/weft.8'), /^\.TH WEFT 8/im);
}
