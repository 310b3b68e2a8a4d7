/**
 * A mesh of which one agent runs, held until this process is told to end. Says on one line what it has made. Started by
 * mesh-ended.test.ts.
 */
import { Mesh } from './mesh.ts';

export interface Held {
  readonly namespaces: readonly string[];
  readonly folder: string;
  readonly agent: number;
}

const mesh = await Mesh.underlay({ hosts: 2 });
await mesh.init();
const held: Held = {
  namespaces: mesh.topology.namespaces(),
  folder: mesh.folder,
  agent: mesh.host(0).pid ?? -1,
};
console.log(JSON.stringify(held));
setInterval(() => {}, 1000);
