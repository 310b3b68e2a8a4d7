/** Every scenario, in the order of the reliability table. */
import { ADDRESSES } from './addresses.ts';
import { DISKS } from './disks.ts';
import { MACHINES } from './machines.ts';
import { NETWORKS } from './networks.ts';
import { RESTARTS } from './restarts.ts';
import { REVOCATIONS } from './revocations.ts';
import type { Scenario } from './scenario.ts';

const order = (number: string): number => Number.parseInt(number, 10);

export const SCENARIOS: readonly Scenario[] = [
  ...NETWORKS,
  ...MACHINES,
  ...ADDRESSES,
  ...DISKS,
  ...REVOCATIONS,
  ...RESTARTS,
].sort((a, b) => order(a.number) - order(b.number));
