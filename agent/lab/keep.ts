/** What `weft lab --keep` says at the end: how to enter each host and how to remove it all. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from './setting.ts';

const quote = (word: string): string =>
  /^[\w./=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;

/** Text for the terminal; writes a `weft` for each host and a `remove` script into the lab's folder. */
export function keepInstructions({ topology, folder, hosts }: Lab): string {
  const lines = ['', 'It stays up. To enter a host, and to ask its agent from there or from here:'];
  for (const host of hosts) {
    const script = join(folder, `weft-${host.name}`);
    const command = host.command([]).map(quote).join(' ');
    writeFileSync(script, `#!/bin/sh\nexec ${command} "$@"\n`, { mode: 0o755 });
    lines.push(`  ip netns exec ${host.node.namespace} bash      ${script} status`);
  }
  const remove = join(folder, 'remove');
  writeFileSync(remove, removeScript(topology.namespaces(), folder), { mode: 0o755 });
  lines.push(`To remove it: ${remove}`);
  return lines.join('\n');
}

function removeScript(namespaces: readonly string[], folder: string): string {
  return `#!/bin/sh
for namespace in ${namespaces.join(' ')}; do
  for pid in $(ip netns pids "$namespace"); do kill "$pid"; done
done
sleep 1
for namespace in ${namespaces.join(' ')}; do
  for pid in $(ip netns pids "$namespace"); do kill -9 "$pid"; done
  ip netns delete "$namespace"
done
rm -rf ${quote(folder)}
`;
}
