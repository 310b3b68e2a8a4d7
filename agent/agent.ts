/**
 * The composition root's entry: the verbs that run an agent in this process. agent-host.ts builds it, the other agent-*.ts
 * files are parts of the same root; nothing else imports all folders.
 */
import type { Logger } from 'pino';
import { writeContacts } from './agent-contacts.ts';
import { Agent, listenEndpoint } from './agent-host.ts';
import { join } from './agent-join.ts';
import type { RunOptions, UpOptions } from './cli/actions.ts';
import { systemClock } from './clock.ts';
import { formatHostSettings } from './config/load.ts';
import type { Config } from './config/schema.ts';
import { WeftError } from './errors.ts';
import { holdsMember } from './identity/node-identity.ts';
import { parsePrefix } from './identity/prefix.ts';
import { sodiumReady } from './identity/sodium.ts';
import { STATE_FILE, StateDir } from './identity/state-dir.ts';
import { lockState } from './identity/state-lock.ts';
import { parseToken } from './identity/token.ts';
import { createLog } from './log.ts';

export { initMesh } from './agent-init.ts';

/** `weft up`. @throws WeftError */
export async function joinAndRun(options: UpOptions): Promise<void> {
  await sodiumReady;
  const { config } = options;
  const log = createLog(config.log);
  const state = StateDir.open(config.stateDir);
  const unlock = lockState(state.path);
  try {
    if (!holdsMember(state)) await joinFirst(options, state, log);
    await run(config, state, log);
  } finally {
    unlock();
  }
}

async function joinFirst(options: UpOptions, state: StateDir, log: Logger): Promise<void> {
  const { config } = options;
  if (config.name === null) throw new WeftError('E_USAGE', 'joining needs a name: give --name N');
  const text = await options.readToken();
  if (text === null)
    throw new WeftError('E_USAGE', `${state.path} holds no member yet: give --token-file FILE`);
  const token = parseToken(text, systemClock);
  const address = config.address === 'auto' ? null : parsePrefix(config.address);
  const listen = listenEndpoint(config, token);
  await join({ state, token, name: config.name, address, listen, clock: systemClock, log });
  writeContacts(state, token);
  const settings = { name: config.name, address: config.address, underlay: config.underlay, tap: config.tap };
  state.write(STATE_FILE.host, formatHostSettings(settings));
}

/** `weft run`. @throws WeftError */
export async function runAgent(options: RunOptions): Promise<void> {
  await sodiumReady;
  const { config } = options;
  const log = createLog(config.log);
  const state = StateDir.open(config.stateDir);
  const unlock = lockState(state.path);
  try {
    await run(config, state, log);
  } finally {
    unlock();
  }
}

/** Runs until a signal, `weft leave`, or a failure of a worker. */
async function run(config: Config, state: StateDir, log: Logger): Promise<void> {
  const agent = await Agent.start(config, state, log);
  const onSignal = (signal: NodeJS.Signals): void => {
    log.info({ signal }, 'stopping');
    agent.requestStop(null);
  };
  // Once each: a second signal ends the process at once.
  process.once('SIGTERM', onSignal);
  process.once('SIGINT', onSignal);
  try {
    await agent.stopped;
  } finally {
    process.removeListener('SIGTERM', onSignal);
    process.removeListener('SIGINT', onSignal);
  }
}
