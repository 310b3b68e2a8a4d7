/**
 * Hosts out of network namespaces, each in a subnet of its own, around one namespace that routes between them:
 *
 *   host1 eth0 10.89.1.2/24 --- to1 10.89.1.1/24 +--------+ to2 10.89.2.1/24 --- eth0 10.89.2.2/24 host2
 *                                                | router |
 *   host3 eth0 10.89.3.2/24 --- to3 10.89.3.1/24 +--------+ ...
 *
 * IPv6 likewise in fd89:0:0:N::/64. Every name carries a random part, so that two labs never meet. Nothing is made
 * outside the namespaces. Used by the lab and by the namespace tests.
 */
import { type Rng, systemRng } from '../clock.ts';
import { ip, run } from './command.ts';

export interface TopologyOptions {
  /** 1 to 250. */
  readonly hosts: number;
  /** Family of the underlay; 4 unless said. */
  readonly family?: 4 | 6;
  /** Underlay MTU in bytes; 1500 unless said. */
  readonly mtuBytes?: number;
  readonly rng?: Rng;
}

export interface Node {
  readonly name: string;
  readonly namespace: string;
  /** Address on the underlay, without prefix. */
  readonly address: string;
  /** The router's end of its cable. */
  readonly routerInterface: string;
}

export class Topology {
  /** Common start of all namespace names. */
  readonly prefix: string;
  readonly router: string;
  /** Bounded by TopologyOptions.hosts. */
  readonly nodes: readonly Node[];
  readonly family: 4 | 6;
  readonly #mtuBytes: number;

  private constructor(prefix: string, options: TopologyOptions) {
    this.prefix = prefix;
    this.router = `${prefix}-router`;
    this.family = options.family ?? 4;
    this.#mtuBytes = options.mtuBytes ?? 1500;
    this.nodes = Array.from({ length: options.hosts }, (_, i) => ({
      name: `host${i + 1}`,
      namespace: `${prefix}-host${i + 1}`,
      address: addressOf(this.family, i + 1, 2),
      routerInterface: `to${i + 1}`,
    }));
  }

  /** The names of what `create` will make, so that cleaning up can be arranged before anything exists. */
  static plan(options: TopologyOptions): Topology {
    const id = Buffer.from((options.rng ?? systemRng).fill(new Uint8Array(3))).toString('hex');
    return new Topology(`weft-${id}`, options);
  }

  /** @throws WeftError E_DEVICE, and then `remove` clears what was made */
  async create(): Promise<void> {
    await this.#addNamespace(this.router);
    await setKernel(this.router, 'ipv4/ip_forward', 1);
    await setKernel(this.router, 'ipv6/conf/all/forwarding', 1);
    for (const [i, node] of this.nodes.entries()) await this.#addHost(i + 1, node);
  }

  /** Kills what still runs inside and removes every namespace. Never throws. */
  async remove(): Promise<void> {
    for (const namespace of this.namespaces()) await removeNamespace(namespace);
  }

  namespaces(): string[] {
    return [...this.nodes.map((node) => node.namespace), this.router];
  }

  async #addNamespace(namespace: string): Promise<void> {
    await ip(['netns', 'add', namespace]);
    // Nobody else can hold our addresses: duplicate detection would only cost seconds.
    await setKernel(namespace, 'ipv6/conf/default/accept_dad', 0);
    await ip(['-n', namespace, 'link', 'set', 'lo', 'up']);
  }

  async #addHost(index: number, node: Node): Promise<void> {
    await this.#addNamespace(node.namespace);
    const { family } = this;
    const bits = family === 4 ? 24 : 64;
    const gateway = addressOf(family, index, 1);
    const mtu = this.#mtuBytes;
    await ip(
      ['-n', this.router, '-batch', '-'],
      `link add ${node.routerInterface} mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${node.namespace}
       address add ${gateway}/${bits} dev ${node.routerInterface}
       link set ${node.routerInterface} up\n`,
    );
    await ip(
      ['-n', node.namespace, '-batch', '-'],
      `address add ${node.address}/${bits} dev eth0
       link set eth0 up
       route add default via ${gateway}\n`,
    );
  }
}

/** Writes a setting under /proc/sys/net of a namespace; one that this kernel lacks is passed over. */
async function setKernel(namespace: string, key: string, value: number): Promise<void> {
  await run(['ip', 'netns', 'exec', namespace, 'sh', '-c', `echo ${value} > /proc/sys/net/${key}`]);
}

/** Member `member` of the subnet of host `index`. */
function addressOf(family: 4 | 6, index: number, member: number): string {
  return family === 4 ? `10.89.${index}.${member}` : `fd89:0:0:${index.toString(16)}::${member}`;
}

/** Ends every process inside a namespace that this program made, then the namespace. Never throws. */
async function removeNamespace(namespace: string): Promise<void> {
  const inside = await run(['ip', 'netns', 'pids', namespace]);
  for (const pid of inside.out.split(/\s+/).filter(Boolean)) kill(Number(pid));
  await run(['ip', 'netns', 'delete', namespace]);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
