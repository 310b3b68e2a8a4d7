/**
 * The documents, typed: a person walks through README.md and docs/OPERATIONS.md, chapter by chapter, on machines that are as the
 * documents say (docs/machine.ts), and looks at what each line says. The last tests compare all that was typed with all that the
 * documents tell people to type.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Command, commandDocuments, commandsOf, simpleCommands, wasTyped } from '../unit/docs-lines.ts';
import { ROOT } from '../unit/style-source.ts';
import { ELSEWHERE } from './docs/elsewhere.ts';
import * as first from './docs/first-mesh-chapters.ts';
import { install, type MeshPlace } from './docs/install-chapter.ts';
import * as looking from './docs/looking-chapters.ts';
import * as plain from './docs/plain-chapters.ts';
import * as readme from './docs/readme-chapters.ts';
import * as roots from './docs/root-chapters.ts';
import { MACHINES } from './docs/site.ts';
import { Walk } from './docs/walk.ts';

const walk = new Walk();
after(() => walk.remove());

// Four places at once: much of the time is waiting.
describe('a person at the documents', { concurrency: 4 }, () => {
  test('README: two machines in five minutes', () => readme.twoMachines(walk, ROOT));

  test('README and OPERATIONS: plain endpoints, a kernel vxlan device, Open vSwitch', async () => {
    const site = await plain.plainMachines(walk);
    await readme.kernelVxlan(site);
    await plain.twoHostsAndKernel(site);
    await plain.openVswitch(walk);
  });

  test('OPERATIONS: root rotated, lost and stolen; revoking', async () => {
    const site = await roots.rootMachines(walk);
    await roots.rotated(site);
    await roots.lost(site);
    await roots.stolen(site);
  });

  describe('OPERATIONS', { concurrency: 1 }, operations);
});

function operations(): void {
  let place: MeshPlace;
  let agents: first.Agents;
  before(async () => {
    place = await walk.machines({ ...MACHINES });
  });

  test('install, configuration, first mesh', async () => {
    await install(place);
    await first.configuration(place);
    agents = await first.firstMesh(place);
  });

  test('several admitters', () => first.admitters(place));

  test('is it well, targets for Prometheus, doctor', async () => {
    await looking.isItWell(place);
    await looking.prometheus(place);
    await looking.doctor(place);
  });

  test('ping, drops, trace and capture', async () => {
    await looking.pingDropsCapture(place);
    await looking.captureAndTrace(place);
  });

  test('reload, socket, graph, events, page and bug report', async () => {
    await looking.reload(place);
    await looking.socketAndThreads(place);
    await looking.graph(place);
    await looking.events(place);
    await looking.page(place);
    await looking.bugreport(place);
  });

  test('policy, leaving and stopping', async () => {
    await first.policy(place);
    agents = await first.leavingAndStopping(place, agents);
    await first.plainAndBack(place);
    await first.stopped(agents);
  });
}

/** Commands that nobody typed and that no row names. */
function missed(commands: readonly Command[]): string[] {
  const isElsewhere = (text: string): boolean => ELSEWHERE.has(text);
  const isCovered = (command: Command): boolean =>
    wasTyped(command, walk.typed) ||
    isElsewhere(command.text) ||
    simpleCommands(command.text).every(
      (text) => isElsewhere(text) || text.startsWith('cd ') || wasTyped({ ...command, text }, walk.typed),
    );
  return commands.filter((command) => !isCovered(command)).map(({ place: at }) => at);
}

test('every command of the documents was typed, or a row says which file runs it', () => {
  const commands = commandDocuments().flatMap(commandsOf);
  assert.ok(commands.length > 150, `${commands.length} commands`);
  assert.deepEqual(missed(commands), []);
});

test('every row names a file that runs the command, and a command that a document has', () => {
  const texts = new Set(
    commandDocuments()
      .flatMap(commandsOf)
      .flatMap(({ text }) => [text, ...simpleCommands(text)]),
  );
  for (const [command, files] of ELSEWHERE) {
    assert.ok(texts.has(command), `no document says: ${command}`);
    for (const { file, needle } of files)
      assert.ok(
        readFileSync(join(ROOT, file), 'utf8').includes(needle),
        `${command}: ${file} lacks ${needle}`,
      );
  }
});

test('the rule sees a command that nobody types, in a block and in a sentence', () => {
  const of = (text: string): string[] => missed(commandsOf({ path: 'x', text }));
  assert.deepEqual(of('```\nweft peers\nweft fly --high   # never\n```\n'), ['x: weft fly --high']);
  assert.deepEqual(of('```\nweft run &\nnpm ci && npm fly\n```\n'), ['x: npm ci && npm fly']);
  assert.deepEqual(of('Try `weft ping beta --hops 3`, or `weft ping HOST`.'), ['x: weft ping beta --hops 3']);
  assert.deepEqual(of('`weft root list [--fly]` and `weft policy set ...` are typed.'), []);
  assert.deepEqual(
    of('```\nweft root recover --key-file FILE --stolen-from alpha [--keep delta]\n```\n').length,
    1,
  );
});
