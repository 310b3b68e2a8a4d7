/** Rule sets for the router's nft that take traffic between hosts apart. All datagrams between hosts pass its forward hook. */
import { run } from '../../agent/lab/command.ts';
import { expectOk } from '../netns/mesh.ts';
import type { World } from './scenario.ts';

const table = (rules: readonly string[]): string => `table inet faults {
  chain forward { type filter hook forward priority 0;
${rules.map((rule) => `    ${rule}`).join('\n')}
  }
}`;

const address = (world: World, index: number): string => world.mesh.host(index).node.address;

/** Nothing passes from any of `from` to any of `to`. */
export function oneWay(world: World, from: readonly number[], to: readonly number[]): string {
  const list = (indexes: readonly number[]): string =>
    `{ ${indexes.map((i) => address(world, i)).join(', ')} }`;
  return table([`ip saddr ${list(from)} ip daddr ${list(to)} drop`]);
}

/** Two sides that do not hear each other. */
export function partition(world: World, one: readonly number[], other: readonly number[]): string {
  const list = (indexes: readonly number[]): string =>
    `{ ${indexes.map((i) => address(world, i)).join(', ')} }`;
  return table([
    `ip saddr ${list(one)} ip daddr ${list(other)} drop`,
    `ip saddr ${list(other)} ip daddr ${list(one)} drop`,
  ]);
}

/** Of all that passes so many in a hundred are lost, each way. What went between two hosts is counted: see lossesOf. */
export function loss(world: World, percent: number, from: number, to: number): string {
  const between = `ip saddr ${address(world, from)} ip daddr ${address(world, to)} udp dport 7947 udp length ${STREAM_LENGTHS}`;
  return `table inet faults {
  counter passed { }
  counter lost { }
  chain forward { type filter hook forward priority 0;
    ${between} counter name passed
    numgen random mod 100 < ${percent} goto gone
  }
  chain gone {
    ${between} counter name lost
    drop
  }
}`;
}

/**
 * Has the kernel of a host cut runs of datagrams before they leave. A router takes a run for one packet, longer than any of its
 * datagrams: it would lose all of them at once, and count none.
 */
export async function singly(world: World, index: number): Promise<void> {
  const command = world.mesh.host(index).inside(['ethtool', '-K', 'eth0', 'tx-udp-segmentation', 'off']);
  expectOk(command, await run(command));
}

/** Of a sealed datagram that carries one of a stream; control messages are shorter, probes of the path longer. */
const STREAM_LENGTHS = '250-350';

interface CounterShown {
  readonly counter?: { readonly name: string; readonly packets: number };
}

/** What the rules of `loss` counted: datagrams of the stream between the two hosts, and those of them that the router lost. */
export async function lossesOf(world: World): Promise<{ readonly passed: number; readonly lost: number }> {
  const shown: { readonly nftables: readonly CounterShown[] } = JSON.parse(
    await world.mesh.inRouter(['nft', '-j', 'list', 'counters', 'table', 'inet', 'faults']),
  );
  const count = (name: string): number =>
    shown.nftables.find(({ counter }) => counter?.name === name)?.counter?.packets ?? 0;
  return { passed: count('passed'), lost: count('lost') };
}

/** IP packets longer than this vanish without a word. */
export function blackHole(longest: number): string {
  return table([`meta length > ${longest} drop`]);
}

/** A host seems to be elsewhere: its address as others see it, and, if given, its sealed port. No connection tracking. */
export function moved(world: World, index: number, seen: string, port: number | null): string {
  const real = address(world, index);
  const sport = port === null ? '' : `udp sport 7947 udp sport set ${port}`;
  const dport = port === null ? '' : `udp dport ${port} udp dport set 7947`;
  const lines = [
    `    ip saddr ${real} ${sport} ip saddr set ${seen}`,
    ...(port === null ? [] : [`    ip saddr ${real} udp sport 7946 ip saddr set ${seen}`]),
  ];
  // What goes to where it was is lost, as behind a NAT that has forgotten, or on a network that it left.
  const stale = port === null ? `    ip daddr ${real} drop` : `    ip daddr ${real} udp dport 7947 drop`;
  const back = [
    stale,
    `    ip daddr ${seen} ${dport} ip daddr set ${real}`,
    ...(port === null ? [] : [`    ip daddr ${seen} udp dport 7946 ip daddr set ${real}`]),
  ];
  return `table inet faults {
  chain first { type filter hook prerouting priority -300;
${back.join('\n')}
  }
  chain last { type filter hook postrouting priority 300;
${lines.join('\n')}
  }
}`;
}
