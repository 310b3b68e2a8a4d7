/**
 * Which keys `weft reload` can change while the agent runs, and what differs between two configurations. The agent applies it
 * (agent-reload.ts); docs.ts lists it.
 */
import { CONFIG_KEYS } from './keys.ts';
import type { Config } from './schema.ts';

/** As written in YAML. Everything else is settled when sockets, TAP, tables and threads are made. */
export const RELOADABLE: readonly string[] = [
  'log.level',
  'metrics.address',
  'metrics.per_peer',
  'metrics.page',
  'offload.gso',
  'offload.join',
  'session.rekey_after_sec',
  'session.rekey_after_packets',
];

/** Keys whose values differ, in the order of the schema. */
export function changedKeys(before: Config, after: Config): string[] {
  const value = (config: Config, path: readonly string[]): unknown =>
    path.reduce<unknown>((at, field) => (at as Record<string, unknown> | null)?.[field], config);
  return CONFIG_KEYS.filter(
    ({ path }) => JSON.stringify(value(before, path)) !== JSON.stringify(value(after, path)),
  ).map(({ yaml }) => yaml);
}
