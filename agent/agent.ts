/**
 * The composition root's entry: the verbs that run an agent in this process. agent-host.ts builds it, the other agent-*.ts
 * files are parts of the same root; nothing else imports all folders.
 */
import { availableParallelism } from 'node:os';
import type { Logger } from 'pino';
import { writeContacts } from './agent-contacts.ts';
import { Agent } from './agent-host.ts';
import { join } from './agent-join.ts';
import { listenEndpoint } from './agent-place.ts';
import { takePriority } from './agent-priority.ts';
import { giveUpRights } from './agent-rights.ts';
import { takeManager } from './agent-service.ts';
import { awaitPredecessor, isSuccessor, type Successor, startSuccessor } from './agent-successor.ts';
import type { RunOptions, UpOptions } from './cli/actions.ts';
import { systemClock } from './clock.ts';
import { formatHostSettings } from './config/load.ts';
import type { Config } from './config/schema.ts';
import { SpareWorkers } from './datapath/spare-workers.ts';
import { workerLayout } from './datapath/worker-layout.ts';
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
  const { config } = options;
  const log = createLog(config.log);
  await locked(config, async (state, spare) => {
    if (!holdsMember(state)) await joinFirst(options, state, log);
    return run(options, state, log, spare);
  });
}

/**
 * Does `work` while nobody else uses the state directory; a successor that it leaves goes on after that. What takes long and
 * needs no state, a successor does while its predecessor still forwards.
 */
async function locked(
  config: Config,
  work: (state: StateDir, spare: SpareWorkers) => Promise<Successor | null>,
): Promise<void> {
  await sodiumReady;
  const spare = await SpareWorkers.load(isSuccessor() ? threadsOf(config) : 0);
  await awaitPredecessor();
  const state = StateDir.open(config.stateDir);
  const unlock = lockState(state.path);
  let successor: Successor | null = null;
  try {
    successor = await work(state, spare);
  } finally {
    unlock();
  }
  successor?.proceed();
}

function threadsOf({ workers }: Config): number {
  const { single, pairs } = workerLayout(workers, availableParallelism());
  return single ? 1 : 2 * pairs;
}

async function joinFirst(options: UpOptions, state: StateDir, log: Logger): Promise<void> {
  const { config } = options;
  if (config.name === null) throw new WeftError('E_USAGE', 'joining needs a name: give --name N');
  const text = await options.readToken();
  if (text === null)
    throw new WeftError('E_USAGE', `${state.path} holds no member yet: give --token-file FILE`);
  const token = parseToken(text, systemClock);
  const address = config.address === 'auto' ? null : parsePrefix(config.address);
  const listen = listenEndpoint(config, token.seeds[0]?.ip);
  await join({ state, token, name: config.name, address, listen, clock: systemClock, log });
  writeContacts(state, token);
  // What is on disk now is read from there.
  for (const secret of [token.seed, token.psk]) secret.fill(0);
  const settings = { name: config.name, address: config.address, underlay: config.underlay, tap: config.tap };
  state.write(STATE_FILE.host, formatHostSettings(settings));
}

/** `weft run`. @throws WeftError */
export async function runAgent(options: RunOptions): Promise<void> {
  const { config } = options;
  await locked(config, (state, spare) => run(options, state, createLog(config.log), spare));
}

/** Runs until a signal, `weft leave`, or a failure of a worker. Returns who goes on, if anybody does. */
async function run(
  { config, reread }: RunOptions,
  state: StateDir,
  log: Logger,
  spare: SpareWorkers,
): Promise<Successor | null> {
  // Its default would end an agent that is still starting.
  process.on('SIGUSR2', () => {});
  const nice = takePriority(config.nice, log);
  // From here on nothing needs them: what a successor starts with is the same.
  const standing = { rights: giveUpRights(config), nice };
  let agent = await Agent.start(config, state, log, reread, standing, takeManager(), spare);
  let isWanted = true;
  const onSignal = (signal: NodeJS.Signals): void => {
    log.info({ signal }, 'stopping');
    isWanted = false;
    agent.requestStop(null);
  };
  // Once each: a second signal ends the process at once.
  let successor: Successor | null = null;
  let handing = false;
  const onHandOver = (): void => {
    if (handing) return;
    handing = true;
    log.info('starting a successor');
    void startSuccessor(agent.manager, log).then((ready) => {
      handing = false;
      if (ready === null) return;
      successor = ready;
      isWanted = false;
      agent.handOver(ready.pid);
    });
  };
  process.on('SIGUSR2', onHandOver);
  process.once('SIGTERM', onSignal);
  process.once('SIGINT', onSignal);
  const onHangUp = (): void => {
    agent
      .reload()
      .catch((error: Error) => log.error({ reason: error.message }, 'not reloaded, nothing has changed'));
  };
  process.on('SIGHUP', onHangUp);
  try {
    await agent.stopped;
    while (agent.again && isWanted) {
      agent = await Agent.start(agent.config ?? config, state, log, reread, standing, agent.manager, spare);
      await agent.stopped;
    }
  } finally {
    process.removeListener('SIGUSR2', onHandOver);
    process.removeListener('SIGTERM', onSignal);
    process.removeListener('SIGINT', onSignal);
    process.removeListener('SIGHUP', onHangUp);
  }
  return successor;
}
