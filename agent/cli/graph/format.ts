/** The picture of `weft graph` for people and for Graphviz. */
import { clean, paint } from '../print.ts';
import type { GraphNode, GraphReport } from './model.ts';

/** Namespaces with their devices, below each what it is plugged into; then the mesh; then what is wrong. */
export function formatGraph(report: GraphReport, coloured: boolean): string {
  const lines: string[] = [];
  for (const { name, own } of report.namespaces) {
    lines.push(
      paint(`namespace ${name}${own && name !== 'this namespace' ? ' (this one)' : ''}`, 'bold', coloured),
    );
    for (const node of report.nodes.filter(({ namespace, kind }) => namespace === name && kind !== 'weft')) {
      lines.push(`  ${describe(node, coloured)}`);
      for (const text of endsOf(report, node)) lines.push(`    ${text}`);
    }
  }
  const agent = report.nodes.find(({ kind }) => kind === 'weft');
  if (agent !== undefined) {
    lines.push(paint(`weft ${clean(agent.name)}`, 'bold', coloured), `  ${clean(agent.detail)}`);
    const far = report.edges
      .filter(({ from }) => from === agent.id)
      .map(({ to }) => report.nodes.find(({ id }) => id === to));
    for (const node of far)
      if (node !== undefined && node.namespace === null) lines.push(`    -- ${describe(node, coloured)}`);
  }
  for (const { text } of report.warnings)
    lines.push(`${paint('warning', 'yellow', coloured)}  ${clean(text)}`);
  return `${lines.join('\n')}\n`;
}

function describe(node: GraphNode, coloured: boolean): string {
  const parts = [
    clean(node.name),
    node.kind === 'peer' || node.kind === 'remote' ? null : clean(node.detail),
    ...node.addresses.filter((address) => address !== node.name),
    node.kind === 'peer' || node.kind === 'remote' ? clean(node.detail) : null,
    node.mtu === null ? null : `mtu ${node.mtu}`,
    node.kind === 'peer' || node.kind === 'remote'
      ? null
      : paint(node.up ? 'up' : 'down', node.up ? 'green' : 'red', coloured),
  ];
  return parts.filter((part) => part !== null).join('  ');
}

/** What a device is plugged into, seen from it. */
function endsOf({ nodes, edges }: GraphReport, node: GraphNode): string[] {
  const nameOf = (id: string): string => {
    const end = nodes.find((other) => other.id === id);
    if (end === undefined) return id;
    return clean(
      end.namespace === node.namespace || end.namespace === null
        ? end.name
        : `${end.name} in ${end.namespace}`,
    );
  };
  return edges.flatMap(({ from, to, kind }) => {
    if (kind === 'veth' && (from === node.id || to === node.id))
      return [`== ${nameOf(from === node.id ? to : from)}`];
    if (from === node.id && kind === 'port') return [`-> port of ${nameOf(to)}`];
    if (from === node.id && kind === 'over') return [`-> over ${nameOf(to)}`];
    if (from === node.id && kind === 'tap') return [`-> weft ${nameOf(to)}`];
    if (from === node.id && kind === 'remote') return [`-- ${nameOf(to)}`];
    if (to === node.id && kind === 'underlay') return [`<- weft ${nameOf(from)}`];
    return [];
  });
}

const SHAPE = {
  device: 'box',
  veth: 'box',
  bridge: 'hexagon',
  tap: 'cds',
  tunnel: 'cds',
  weft: 'doubleoctagon',
  peer: 'ellipse',
  remote: 'ellipse',
} as const;

/** A graph for `dot -Tsvg`. Warnings are red. */
export function formatDot(report: GraphReport): string {
  const warned = new Map<string, string[]>(); // bounded by the nodes
  for (const { node, text } of report.warnings) warned.set(node, [...(warned.get(node) ?? []), text]);
  const nodeLine = (node: GraphNode): string => {
    const mtu = node.mtu === null ? [] : [`mtu ${node.mtu}`];
    const label = [node.name, node.detail, ...node.addresses, ...mtu, ...(warned.get(node.id) ?? [])];
    const colour = warned.has(node.id) ? ', color=red, fontcolor=red' : node.up ? '' : ', color=gray';
    return `${quote(node.id)} [shape=${SHAPE[node.kind]}, label=${quote(label.join('\n'))}${colour}];`;
  };
  const clusters = report.namespaces.map(({ name }, i) => {
    const inside = report.nodes
      .filter(({ namespace }) => namespace === name)
      .map((node) => `    ${nodeLine(node)}`);
    return `  subgraph cluster_${i} {\n    label=${quote(name)};\n${inside.join('\n')}\n  }`;
  });
  const outside = report.nodes
    .filter(({ namespace }) => namespace === null)
    .map((node) => `  ${nodeLine(node)}`);
  const wires = report.edges.map(
    ({ from, to, kind }) => `  ${quote(from)} -- ${quote(to)} [label=${quote(kind)}];`,
  );
  return `graph weft {\n  node [fontname="sans-serif"];\n${[...clusters, ...outside, ...wires].join('\n')}\n}\n`;
}

/** A string of the DOT language: names come from the network. */
function quote(text: string): string {
  const safe = text
    .split('\n')
    .map(clean)
    .join('\n')
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('\n', '\\n');
  return `"${safe}"`;
}
