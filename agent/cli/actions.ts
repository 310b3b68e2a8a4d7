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
  /** Where the recovery key goes; null: there is none. */
  readonly recoveryOut: string | null;
}

/** What `init` says when it is done. */
export interface InitResult {
  readonly name: string;
  readonly mesh: string;
  /** Overlay address with prefix. */
  readonly address: string;
  readonly stateDir: string;
  /** Where the recovery key is; null: there is none. */
  readonly recoveryFile: string | null;
  /** One line each, shown on stderr: for example that plain traffic is neither secret nor authentic. */
  readonly warnings: readonly string[];
}

/** `weft up`: join unless the state directory already holds a member, then run until stopped. */
export interface UpOptions {
  /** `config.name` is the name to join under; null is E_USAGE unless the state already holds a member. */
  readonly config: Config;
  /** The configuration as it would be read now, with the same flags. @throws WeftError */
  readonly reread: () => Config;
  /**
   * The token's text, read from where the operator said, or null when nowhere was said. Called only to join, so that a
   * host that has joined starts without its used token. Never logged. Fails with E_TOKEN naming the file.
   */
  readToken(): Promise<string | null>;
}

/** `weft run`: what the state directory holds, until stopped. */
export interface RunOptions {
  readonly config: Config;
  /** The configuration as it would be read now, with the same flags. @throws WeftError */
  readonly reread: () => Config;
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
