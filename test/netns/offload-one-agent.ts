/**
 * One agent and a foreign end in the next namespace, for the parts of the matrix against kernel VXLAN and Open vSwitch:
 * every combination at the agent, both ways.
 */
import { test } from 'node:test';
import { Mesh } from './mesh.ts';
import { combinations, type End, exchange, restart, v6Of } from './offload-exchange.ts';
import { nameOf, SWITCHES } from './offload-switches.ts';

export const VNI = 88;
export const PLAIN_MTU = 1422;
/** Overlay address of the foreign end. */
export const FOREIGN_ADDRESS = '10.80.0.9';

/** The agent runs and knows the other host as an endpoint. */
export async function oneAgent(): Promise<Mesh> {
  const mesh = await Mesh.underlay({ hosts: 2, mode: 'plain', vni: VNI });
  await mesh.init();
  await mesh.host(0).weftOk(['vtep', 'add', mesh.host(1).node.address]);
  return mesh;
}

/** @param part of the usual amount, for an end that is slow */
export function everyCombination(mesh: () => Mesh, part = 1): void {
  for (const [seed, settings] of combinations(SWITCHES.length).entries()) {
    test(nameOf(settings), async () => {
      const [own] = await restart(mesh(), [settings]);
      const { namespace } = mesh().host(1).node;
      const other: End = { namespace, addresses: [FOREIGN_ADDRESS, v6Of(1)] };
      await exchange(own!, other, seed, part);
      await exchange(other, own!, seed, part);
    });
  }
}
