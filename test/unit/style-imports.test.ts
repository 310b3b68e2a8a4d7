import assert from 'node:assert/strict';
import { test } from 'node:test';
import { importsOf, type Source, sources } from './style-source.ts';

/** Leaves that all of agent/ may import. */
const LEAVES = ['agent/errors.ts', 'agent/clock.ts', 'agent/endpoint.ts', 'agent/version.ts', 'agent/log.ts'];

/** What the files of a folder may import of the project, besides their own folder and the leaves of agent/. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  gossip: [],
  'tun-tap': [],
  'agent/datapath': ['tun-tap'],
  'agent/identity': [],
  'agent/session': ['agent/identity/sodium.ts'],
  'agent/config': [],
  'agent/cli': [
    'agent/control/api-types.ts',
    'agent/control/admission-types.ts',
    'agent/control/root-types.ts',
    'agent/config/',
    'agent/host/',
  ],
  'agent/host': ['tun-tap'],
  'agent/control': ['tun-tap'],
  'agent/peer': ['tun-tap', 'agent/identity/', 'gossip/index.ts'],
  'agent/segment': ['tun-tap', 'agent/identity/'],
  'agent/lab': [
    'tun-tap',
    'agent/cli/client.ts',
    'agent/cli/print.ts',
    'agent/control/api-types.ts',
    'agent/main.ts',
  ],
};
/** Only the composition root meets everything; main.ts knows it and the command line. */
const MAIN_MAY_IMPORT = ['agent/agent.ts', 'agent/cli/', 'agent/lab/lab.ts'];
const PROJECT = /^(agent|gossip|tun-tap|test)(\/|$)/;

/** `path:line imports what` for each import against the rules. */
function breaches(source: Source): string[] {
  const folder = Object.keys(MAY_IMPORT).find((name) => source.path.startsWith(`${name}/`));
  const allowed = folder === undefined ? allowedOutside(source.path) : (MAY_IMPORT[folder] ?? []);
  if (allowed === null) return [];
  const inAgent = source.path.startsWith('agent/');
  return importsOf(source)
    .filter(({ target }) => PROJECT.test(target))
    .filter(({ target }) => folder === undefined || !target.startsWith(`${folder}/`))
    .filter(({ target }) => !(inAgent && LEAVES.includes(target)))
    .filter(
      ({ target }) => !allowed.some((may) => target === may || (may.endsWith('/') && target.startsWith(may))),
    )
    .map(({ line, target }) => `${source.path}:${line} imports ${target}`);
}

/** agent.ts and the files that it is cut into compose; leaves import nothing. Null: everything. */
function allowedOutside(path: string): readonly string[] | null {
  if (path === 'agent/main.ts') return MAIN_MAY_IMPORT;
  return LEAVES.includes(path) ? [] : null;
}

test('imports go one way', () => {
  assert.deepEqual(sources(['agent', 'gossip', 'tun-tap']).flatMap(breaches), []);
});

test('only agent.ts and what it is cut into stand outside the folders', () => {
  const outside = sources(['agent'])
    .map(({ path }) => path)
    .filter((path) => !/^agent\/\w+\//.test(path));
  const known = [...LEAVES, 'agent/main.ts', 'agent/agent.ts'];
  assert.deepEqual(
    outside.filter((path) => !known.includes(path) && !/^agent\/agent-[a-z-]+\.ts$/.test(path)),
    [],
  );
});

test('only the barrels that the design names exist', () => {
  const barrels = sources(['agent', 'gossip', 'tun-tap'])
    .map(({ path }) => path)
    .filter((path) => /(^|\/)(index|utils?|helpers?)\.ts$/.test(path));
  assert.deepEqual(
    barrels.filter((path) => path !== 'gossip/index.ts' && path !== 'tun-tap/index.ts'),
    [],
  );
});

test('the import rule sees each way in which a file can break it', () => {
  const bad: [string, string][] = [
    ['gossip/swim.ts', "import { x } from '../agent/clock.ts';"],
    ['agent/datapath/worker.ts', "import type { X } from '../control/api-types.ts';"],
    ['agent/datapath/worker.ts', "const x = await import('../identity/keys.ts');"],
    ['agent/session/noise.ts', "import { openUdp } from 'tun-tap';"],
    ['agent/session/noise.ts', "export { x } from '../../gossip/index.ts';"],
    ['agent/cli/verbs/fdb.ts', "import { Metrics } from '../../control/metrics.ts';"],
    ['agent/control/server.ts', "type X = import('../config/schema.ts').Config;"],
    ['agent/clock.ts', "import { WeftError } from './errors.ts';"],
    ['agent/main.ts', "import { DataPlane } from './datapath/data-plane.ts';"],
  ];
  for (const [path, text] of bad.slice(0, -2)) assert.equal(breaches({ path, text }).length, 1, path);
  assert.equal(breaches({ path: 'agent/main.ts', text: bad.at(-1)?.[1] ?? '' }).length, 1);
  assert.deepEqual(breaches({ path: 'agent/cli/x.ts', text: "import { EXIT } from '../errors.ts';" }), []);
  assert.deepEqual(breaches({ path: 'agent/cli/x.ts', text: "// import '../control/metrics.ts'" }), []);
});
