/** Every scenario, in the order of the reliability table. */
import { MACHINES } from './machines.ts';
import { NETWORKS } from './networks.ts';
import { RESTARTS } from './restarts.ts';
import type { Scenario } from './scenario.ts';

const order = (number: string): number => Number.parseInt(number, 10);

export const SCENARIOS: readonly Scenario[] = [...NETWORKS, ...MACHINES, ...RESTARTS].sort(
  (a, b) => order(a.number) - order(b.number),
);
