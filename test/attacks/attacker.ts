/** The near end of rogue.ts, and what attackers know of their victims. For the attack tests. */
import { readFileSync } from 'node:fs';
import { systemClock } from '../../agent/clock.ts';
import { sodiumReady } from '../../agent/identity/sodium.ts';
import { parseToken } from '../../agent/identity/token.ts';
import { nodeCommand } from '../../agent/lab/command.ts';
import { Probe } from '../../agent/lab/probe-client.ts';
import type { Mesh } from '../netns/mesh.ts';
import type {
  CertifiedMember,
  ForgedMember,
  JoinAttempt,
  SealedFrames,
  StolenMember,
  Target,
} from './rogue.ts';

const PROGRAM = nodeCommand('./rogue.ts', import.meta.url);

export class Attacker {
  readonly #probe: Probe;

  constructor(namespace: string) {
    this.#probe = Probe.start(namespace, PROGRAM);
  }

  /** As the member whose state directory was stolen. @returns whether a session came about */
  asStolen(options: StolenMember): Promise<boolean> {
    return this.#probe.ask<boolean>('asStolen', options);
  }

  /** With a certificate that the token's key signed. */
  asForged(options: ForgedMember): Promise<boolean> {
    return this.#probe.ask<boolean>('asForged', options);
  }

  /** As a host of its own, with a certificate that a stolen admitter's key signed. */
  asCertified(options: CertifiedMember): Promise<boolean> {
    return this.#probe.ask<boolean>('asCertified', options);
  }

  seal(options: SealedFrames): Promise<number> {
    return this.#probe.ask<number>('seal', options);
  }

  /** In hex: the keys that the victim seals with in lanes 0 and 15, then the one that it opens lane 0 with. */
  sessionKeys(): Promise<readonly string[]> {
    return this.#probe.ask<readonly string[]>('sessionKeys', {});
  }

  prepare(options: JoinAttempt): Promise<void> {
    return this.#probe.ask('prepare', options);
  }

  finish(options: JoinAttempt): Promise<string> {
    return this.#probe.ask<string>('finish', options);
  }

  stop(): Promise<void> {
    return this.#probe.stop();
  }
}

/** Where the first host is and what its keys are: every token says so. */
export async function targetOf(mesh: Mesh): Promise<Target> {
  await sodiumReady;
  const token = parseToken(readFileSync(await mesh.token(), 'utf8'), systemClock);
  const [seed] = token.seeds;
  if (seed === undefined) throw new Error('a token without a seed');
  return { ip: seed.ip, port: seed.sealedPort, dhPk: seed.dhPk, signPk: seed.signPk };
}

export function drops(mesh: Mesh, index: number, reason: string): Promise<number> {
  return mesh.metric(index, 'weft_dropped_frames_total', { direction: 'receive', reason });
}
