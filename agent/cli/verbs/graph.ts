/** `weft graph`: the devices of this machine and the mesh in one picture. */
import { type Command, Option } from 'commander';
import type { PeersReport, StatusReport } from '../../control/api-types.ts';
import { WeftError } from '../../errors.ts';
import { Kernel } from '../../host/kernel.ts';
import { type Link, readLinks, readVxlanRemotes } from '../../host/links.ts';
import { listNamespaces, type Namespace } from '../../host/namespaces.ts';
import { jsonOption } from '../arguments.ts';
import type { Context } from '../context.ts';
import { formatDot, formatGraph } from '../graph/format.ts';
import { draw, type GraphReport, type Overlay, type Place } from '../graph/model.ts';
import { warningsOf } from '../graph/warnings.ts';

interface Flags {
  readonly json?: boolean;
  readonly dot?: boolean;
  readonly text?: boolean;
}

export function addGraph(program: Command, context: Context): void {
  program
    .command('graph')
    .summary('devices of this machine and the mesh in one picture')
    .description(
      'Namespaces, veths, bridges, TAPs and tunnels of this machine, the agent, its peers and other far ends, and warnings ' +
        'where MTUs along a path disagree, a device is down or an address is missing. Sees other namespaces as root only. ' +
        'Without a running agent it shows the devices.',
    )
    .addOption(jsonOption().conflicts(['dot', 'text']))
    .addOption(
      new Option('--dot', 'for Graphviz: weft graph --dot | dot -Tsvg > mesh.svg').conflicts([
        'json',
        'text',
      ]),
    )
    .addOption(new Option('--text', 'for people (the default)').conflicts(['json', 'dot']))
    .action(async (flags: Flags) => {
      const report = await look(new Kernel(), await askAgent(context));
      if (flags.dot === true) context.io.out(formatDot(report));
      else context.show(report, flags.json, (picture) => formatGraph(picture, context.coloured));
    });
}

/** @throws WeftError E_DEVICE when `ip` cannot be run */
export async function look(kernel: Kernel, overlay: Overlay | null): Promise<GraphReport> {
  const places: Place[] = [];
  const namespaces = await listNamespaces(kernel);
  for (const namespace of namespaces.sort((a, b) => Number(b.isOwn) - Number(a.isOwn))) {
    const links = await readLinks(kernel, namespace.within);
    if (links !== null) places.push({ namespace, links: await withRemotes(kernel, namespace, links) });
    else if (namespace.isOwn)
      throw new WeftError('E_DEVICE', '`ip` cannot list the devices of this machine: install iproute2');
  }
  const drawing = draw(places, overlay);
  const shown = places.filter((place) => drawing.devices.some((device) => device.place === place));
  return {
    v: 1,
    host: overlay?.status.name ?? null,
    namespaces: shown.map(({ namespace }) => ({ name: namespace.label, own: namespace.isOwn })),
    nodes: drawing.nodes,
    edges: drawing.edges,
    warnings: warningsOf(drawing, overlay),
  };
}

/** Adds what a vxlan device has learned to flood to. */
async function withRemotes(kernel: Kernel, { within }: Namespace, links: readonly Link[]): Promise<Link[]> {
  const complete: Link[] = [];
  for (const link of links) {
    const more = link.kind === 'vxlan' ? await readVxlanRemotes(kernel, link.name, within) : [];
    complete.push(more.length === 0 ? link : { ...link, remotes: [...new Set([...link.remotes, ...more])] });
  }
  return complete;
}

async function askAgent(context: Context): Promise<Overlay | null> {
  try {
    const client = context.client();
    const status = await client.get<StatusReport>('/v1/status');
    const { peers } = await client.get<PeersReport>('/v1/peers');
    return { status, peers };
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    context.note(`without the mesh: ${error.message}`);
    return null;
  }
}
