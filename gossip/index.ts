/**
 * SWIM membership for hosts that trust owner-signed records: who is there, who left, who died. Knows nothing of weft;
 * see types.ts for what is injected.
 */
export { DEFAULT_CONFIG, type SwimConfig } from './config.ts';
export type { SwimParts } from './core.ts';
export type { Member } from './member.ts';
export { GossipNode, type GossipOptions, type TrafficCounts } from './node.ts';
export { Pace, type PaceOptions } from './pace.ts';
export { Swim, type SwimStats } from './swim.ts';
export type * from './types.ts';
