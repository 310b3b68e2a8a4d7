/** State directories that are cut, garbled, left in the middle of a write, or full. */
import {
  closeSync,
  cpSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { run } from '../../agent/lab/command.ts';
import type { Host } from '../../agent/lab/host.ts';
import { delay } from '../../agent/lab/wait.ts';
import { seeded } from '../netns/impairments.ts';
import { expectOk } from '../netns/mesh.ts';
import { Broken, must, type Scenario } from './scenario.ts';

let damages = 0;
const damagedState: Scenario = {
  number: '31a',
  title: 'a state file cut or garbled at a random place, 50 times',
  criterion: 'starts as the same host, or refuses in one line; never a new identity',
  mesh: { hosts: 2 },
  async run(world) {
    const host = world.mesh.host(1);
    const { nodeId } = await host.api.get<{ nodeId: string }>('/v1/status');
    await host.stop();
    const copy = join(world.mesh.folder, 'intact');
    cpSync(host.stateDir, copy, { recursive: true });
    let started = 0;
    let refused = 0;
    try {
      for (let i = 0; i < world.amount(50, 3); i++) {
        const random = seeded(3100 + damages++);
        rmSync(host.stateDir, { recursive: true });
        cpSync(copy, host.stateDir, { recursive: true });
        const what = damage(host.stateDir, random);
        if (await comesUp(host, nodeId, what)) started++;
        else refused++;
        await host.stop();
      }
    } finally {
      await host.stop();
      rmSync(host.stateDir, { recursive: true });
      cpSync(copy, host.stateDir, { recursive: true });
      rmSync(copy, { recursive: true });
      host.start(['run']);
      await host.ready();
    }
    return { started, refused };
  },
};

function damage(folder: string, random: () => number): string {
  const files = readdirSync(folder).filter((name) => statSync(join(folder, name)).isFile());
  const name = files[Math.floor(random() * files.length)] ?? '';
  const path = join(folder, name);
  const bytes = readFileSync(path);
  const at = Math.floor(random() * Math.max(1, bytes.length));
  const isCut = random() < 0.5;
  if (isCut) writeFileSync(path, bytes.subarray(0, at));
  else {
    bytes[at] = (bytes[at] ?? 0) ^ (1 + Math.floor(random() * 255));
    writeFileSync(path, bytes);
  }
  return `${name} ${isCut ? 'cut' : 'garbled'} at ${at} of ${bytes.length}`;
}

const killDuringStart: Scenario = {
  number: '31b',
  title: 'killed at a random moment of its first second, 200 times',
  criterion: 'starts again as the same host each time',
  mesh: { hosts: 2 },
  async run(world) {
    const host = world.mesh.host(1);
    const { nodeId } = await host.api.get<{ nodeId: string }>('/v1/status');
    const random = seeded(31);
    for (let i = 0; i < world.amount(200, 3); i++) {
      await host.kill();
      host.start(['run']);
      await delay(random() * 1200);
    }
    await host.kill();
    host.start(['run']);
    await host.ready();
    const now = await host.api.get<{ nodeId: string }>('/v1/status');
    const values = { 'whole ms': await world.timed('whole', 20_000, () => world.isWhole([0, 1])) };
    must(now.nodeId === nodeId, 'another identity', values);
    return values;
  },
};

const DISK_KIB = 1024;
const FILLER = 'filler';

/** Takes whatever room a disk has left, to the last byte. */
function fill(folder: string): void {
  const file = openSync(join(folder, FILLER), 'a');
  try {
    for (const size of [65_536, 4096, 256, 1]) {
      const bytes = Buffer.alloc(size);
      while (writeOrFull(file, bytes));
    }
  } finally {
    closeSync(file);
  }
}

function writeOrFull(file: number, bytes: Buffer): boolean {
  try {
    return writeSync(file, bytes) === bytes.length;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
    throw error;
  }
}

async function mountTiny(folder: string): Promise<void> {
  const command = ['mount', '-t', 'tmpfs', '-o', `size=${DISK_KIB}k,mode=700`, 'tmpfs', folder];
  expectOk(command, await run(command));
}

/** Started with `run`: whether it came up; if not, it has ended and said why in one line. */
async function comesUp(host: Host, nodeId: string, what: string): Promise<boolean> {
  host.start(['run']);
  const isUp = await host.ready().then(
    () => true,
    () => false,
  );
  if (isUp) await sameIdentity(host, nodeId, what);
  else expectOneLine(host, what);
  return isUp;
}

async function sameIdentity(host: Host, nodeId: string, what: string): Promise<void> {
  const now = await host.api.get<{ nodeId: string }>('/v1/status');
  if (now.nodeId !== nodeId) throw new Broken(`${what}: another identity`, {});
}

function expectOneLine(host: Host, what: string): void {
  if (!/^weft: .+/.test(host.logTail(1)) || /\n\s+at /.test(host.logTail(3)))
    throw new Broken(`${what}: it said ${JSON.stringify(host.logTail(3))}`, {});
}

/** The state directory is a tmpfs of its own, so that a full disk is a real one. */
const diskFull: Scenario = {
  number: '31c',
  title:
    'the disk of the state directory is full: under a running agent, at a kill, at a start; then it has room again',
  criterion: 'traffic goes on; starts as the same host, or refuses in one line; never a new identity',
  mesh: { hosts: 2 },
  async run(world) {
    const host = world.mesh.host(1);
    const { nodeId } = await host.api.get<{ nodeId: string }>('/v1/status');
    await host.stop();
    const copy = join(world.mesh.folder, 'intact');
    cpSync(host.stateDir, copy, { recursive: true });
    await mountTiny(host.stateDir);
    try {
      cpSync(copy, host.stateDir, { recursive: true });
      if (!(await comesUp(host, nodeId, 'with room'))) throw new Broken('it did not start with room', {});
      await world.timed('whole', 20_000, () => world.isWhole([0, 1]));
      fill(host.stateDir);
      const stream = await world.stream(0, 1);
      await delay(world.amount(70, 5) * 1000);
      const { lost } = await world.stop(stream);
      const isRunning = host.exitStatus === null;
      await host.kill();
      const startedFull = await comesUp(host, nodeId, 'full');
      await host.stop();
      rmSync(join(host.stateDir, FILLER));
      if (!(await comesUp(host, nodeId, 'with room again'))) throw new Broken('it did not start again', {});
      const wholeMs = await world.timed('whole again', 20_000, () => world.isWhole([0, 1]));
      const values = { lost, 'started while full': startedFull ? 1 : 0, 'whole ms': wholeMs };
      must(isRunning && lost === 0, 'a full disk ended it, or its traffic', values);
      return values;
    } finally {
      await host.stop();
      await run(['umount', host.stateDir]);
      rmSync(host.stateDir, { recursive: true });
      cpSync(copy, host.stateDir, { recursive: true });
      rmSync(copy, { recursive: true });
      host.start(['run']);
      await host.ready();
    }
  },
};

export const DISKS: readonly Scenario[] = [damagedState, killDuringStart, diskFull];
