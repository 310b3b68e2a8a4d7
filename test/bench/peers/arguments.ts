/** The command line of `npm run bench`. */
import { parseArgs } from 'node:util';
import { WIRES, type Wire } from './stage.ts';
import { SYSTEMS, type System, YARDSTICK } from './systems.ts';

export const USAGE = `npm run bench -- [options]
  --rounds N         rounds, interleaved over the systems (3)
  --secs N           seconds of each load (4)
  --systems A,B      ${SYSTEMS.map(({ name }) => name).join(',')} (all)
  --wire W[,W]       ${Object.keys(WIRES).join(',')}: what the NIC cuts (nic)
  --json FILE        where the result goes (weft-bench.json)
  --compare FILE     an earlier result: fail when a ratio to ${YARDSTICK} fell by more than 10 %
Programs of the peers are looked for in $PB_PEERS, then on the PATH.`;

export interface BenchOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly systems: readonly System[];
  readonly wires: readonly Wire[];
  readonly json: string;
  readonly compare: string | null;
}

/** @throws Error saying which option is wrong, and what it may be */
export function parseArguments(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '3' },
      secs: { type: 'string', default: '4' },
      systems: { type: 'string', default: SYSTEMS.map(({ name }) => name).join(',') },
      wire: { type: 'string', default: 'nic' },
      json: { type: 'string', default: 'weft-bench.json' },
      compare: { type: 'string' },
    },
  });
  return {
    rounds: whole('--rounds', values.rounds),
    seconds: whole('--secs', values.secs),
    systems: values.systems.split(',').map(systemNamed),
    wires: values.wire.split(',').map(wireNamed),
    json: values.json,
    compare: values.compare ?? null,
  };
}

function whole(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 1000)
    throw new Error(`${option} ${text}: give a whole number from 1 to 1000`);
  return value;
}

function systemNamed(name: string): System {
  const found = SYSTEMS.find((system) => system.name === name);
  if (found !== undefined) return found;
  throw new Error(`--systems ${name}: there are ${SYSTEMS.map((system) => system.name).join(', ')}`);
}

function wireNamed(name: string): Wire {
  const wire = (Object.keys(WIRES) as Wire[]).find((key) => key === name);
  if (wire !== undefined) return wire;
  throw new Error(`--wire ${name}: there are ${Object.keys(WIRES).join(', ')}`);
}
