/**
 * How the kernel weighs an agent against other programs that want a core (nice(1), sched(7)). A frame waits while its worker
 * waits for a core; a tunnel in the kernel never does. So an agent that may takes the priority that Open vSwitch gives its
 * switch (ovs-ctl, --ovs-vswitchd-priority). Whoever started it with another niceness than 0, a unit or `nice`, has decided.
 * docs/adr/0017-the-agent-goes-before-other-programs.md. Part of the composition root.
 */
import { getPriority, setPriority } from 'node:os';
import type { Logger } from 'pino';
import type { Config } from './config/schema.ts';

/** For `nice: auto`. */
const AUTO_NICE = -10;

/**
 * Sets the niceness of this thread, which those that are begun later inherit: before any worker starts, and before
 * CAP_SYS_NICE is given up. One that may not be set is no error: frames are only later under load.
 * @returns the niceness that holds
 */
export function takePriority(setting: Config['nice'], log: Logger): number {
  const before = getPriority();
  const wanted = setting === 'auto' ? AUTO_NICE : setting;
  if (wanted === before || (setting === 'auto' && before !== 0)) return before;
  try {
    setPriority(wanted);
    return wanted;
  } catch (error) {
    // A container has not CAP_SYS_NICE unless it is given; only whoever asked for a value needs to hear of it at each start.
    const level = setting === 'auto' ? 'debug' : 'warn';
    log[level]({ nice: before, wanted, error: String(error) }, 'the priority could not be set');
    return before;
  }
}
