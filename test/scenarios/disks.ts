/** State directories that are cut, garbled, left in the middle of a write, or full. */
import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { seeded } from '../netns/impairments.ts';
import { Broken, must, type Scenario } from './scenario.ts';

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

let damages = 0;
const damagedState: Scenario = {
  number: '31a',
  title: 'a state file cut or garbled at a random place, 17 times',
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
      for (let i = 0; i < (world.isShort ? 3 : 17); i++) {
        const random = seeded(3100 + damages++);
        rmSync(host.stateDir, { recursive: true });
        cpSync(copy, host.stateDir, { recursive: true });
        const what = damage(host.stateDir, random);
        host.start(['run']);
        const isUp = await host.ready().then(
          () => true,
          () => false,
        );
        if (isUp) {
          const now = await host.api.get<{ nodeId: string }>('/v1/status');
          if (now.nodeId !== nodeId) throw new Broken(`${what}: another identity`, {});
          started++;
        } else {
          const said = host.logTail(1);
          if (!/^weft: .+/.test(said) || /\n\s+at /.test(host.logTail(3)))
            throw new Broken(`${what}: it said ${JSON.stringify(host.logTail(3))}`, {});
          refused++;
        }
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
  title: 'killed at a random moment of its first second, 10 times',
  criterion: 'starts again as the same host each time',
  mesh: { hosts: 2 },
  async run(world) {
    const host = world.mesh.host(1);
    const { nodeId } = await host.api.get<{ nodeId: string }>('/v1/status');
    const random = seeded(31);
    for (let i = 0; i < (world.isShort ? 3 : 10); i++) {
      await host.kill();
      host.start(['run']);
      await sleep(random() * 1200);
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

export const DISKS: readonly Scenario[] = [damagedState, killDuringStart];
