/**
 * Puts the impairment relay between the hosts of a topology: turns off kernel forwarding in the router and everything that
 * would make packets other than they are on a cable, and starts the relay process there.
 */

import { ipToBytes } from '../../agent/endpoint.ts';
import { nodeCommand, run } from '../../agent/lab/command.ts';
import { Probe } from '../../agent/lab/probe-client.ts';
import type { Topology } from '../../agent/lab/topology.ts';
import type { RelayCounters, RelayOptions, RelayPort } from './impairment-relay.ts';
import type { Impairment } from './impairments.ts';
import { expectOk } from './mesh.ts';
import { inside } from './programs.ts';

const PROGRAM = nodeCommand('./impairment-relay.ts', import.meta.url);
/** Checksums finished, super-frames cut by the sender, nothing joined by the router. */
const HOST_FEATURES = ['tx', 'off', 'gso', 'off', 'tso', 'off'];
const ROUTER_FEATURES = ['gro', 'off'];

export class Relay {
  readonly #probe: Probe;

  private constructor(probe: Probe) {
    this.#probe = probe;
  }

  /** @param touch see RelayOptions; everything is touched unless said */
  static async start(
    topology: Topology,
    impairment: Impairment,
    touch: Pick<RelayOptions, 'touchPort' | 'touchType' | 'touchFrom'> = { touchPort: null },
  ): Promise<Relay> {
    const { router } = topology;
    for (const key of ['ipv4/ip_forward', 'ipv6/conf/all/forwarding']) {
      await ok(inside(router, ['sh', '-c', `echo 0 > /proc/sys/net/${key}`]));
    }
    const ports: RelayPort[] = [];
    for (const { namespace, routerInterface, address } of topology.nodes) {
      await ok(inside(namespace, ['ethtool', '-K', 'eth0', ...HOST_FEATURES]));
      await ok(inside(router, ['ethtool', '-K', routerInterface, ...ROUTER_FEATURES]));
      const [link] = JSON.parse(await ok(inside(namespace, ['ip', '-json', 'link', 'show', 'eth0'])));
      const hostMac = Uint8Array.from(Buffer.from(link.address.replaceAll(':', ''), 'hex'));
      ports.push({ device: routerInterface, hostMac, hostAddress: plainBytes(address) });
    }
    const probe = Probe.start(router, PROGRAM);
    const options: RelayOptions = { ports, impairment, ...touch };
    await probe.ask('start', options);
    return new Relay(probe);
  }

  /** Off: packets pass as they come, until it is on again. */
  async impair(on: boolean): Promise<void> {
    await this.#probe.ask('impair', on);
  }

  counters(): Promise<RelayCounters> {
    return this.#probe.ask<RelayCounters>('counters');
  }

  stop(): Promise<void> {
    return this.#probe.stop();
  }
}

/** 4 bytes or 16. */
function plainBytes(address: string): Uint8Array {
  const bytes = ipToBytes(address);
  return address.includes(':') ? bytes : bytes.slice(-4);
}

async function ok(command: readonly string[]): Promise<string> {
  return expectOk(command, await run(command));
}
