/**
 * The verbs that do work in this process instead of asking a running agent. main.ts hands their implementations to
 * `buildCli`, loading them lazily, so that `weft status` never loads the data path.
 */
import type { Config } from '../config/schema.ts';

/** `weft init`: keys, policy and state; nothing is started. */
export interface InitOptions {
  readonly config: Config;
  /** Host name in the mesh. */
  readonly name: string;
  readonly mesh: string;
  readonly mode: 'sealed' | 'plain';
  readonly encap: 'vxlan' | 'geneve';
  readonly vni: number;
}

/** What `init` says when it is done. */
export interface InitResult {
  readonly name: string;
  readonly mesh: string;
  /** Overlay address with prefix. */
  readonly address: string;
  readonly stateDir: string;
  /** One line each, shown on stderr: for example that plain traffic is neither secret nor authentic. */
  readonly warnings: readonly string[];
}

/** `weft up`: join unless the state directory already holds a member, then run until stopped. */
export interface UpOptions {
  readonly config: Config;
  readonly name: string;
  /** The token's text, or null when none was given: then the state must already hold a member. Never logged. */
  readonly token: string | null;
}

/** `weft run`: what the state directory holds, until stopped. */
export interface RunOptions {
  readonly config: Config;
}

export interface LabOptions {
  readonly hosts: number;
  /** Leave it up and print how to enter each host. */
  readonly keep: boolean;
}

/** Host settings (address, underlay, tap) travel in `config`, flags already applied. */
export interface Actions {
  init(options: InitOptions): Promise<InitResult>;
  /** Resolves when the agent has stopped. */
  up(options: UpOptions): Promise<void>;
  run(options: RunOptions): Promise<void>;
  /** Resolves to the exit status. */
  lab(options: LabOptions): Promise<number>;
}
