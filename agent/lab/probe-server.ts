/**
 * The far end of a helper process: takes questions from the IPC channel, answers each by its number, and ends with its
 * parent. Called by probe.ts and by the helpers of the namespace tests.
 */
import type { ProbeAnswer, ProbeQuestion } from './probe-client.ts';

/** Handlers by name. Each takes what the question carries; whoever calls `serveProbe` vouches for its shape. */
export type Handlers = Readonly<Record<string, (args: never) => unknown>>;

/** Serves until the parent goes away, and then ends at once. */
export function serveProbe(handlers: Handlers): void {
  process.on('message', (question: ProbeQuestion) => void answer(handlers, question));
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
}

async function answer(handlers: Handlers, { id, op, args }: ProbeQuestion): Promise<void> {
  try {
    const handler = handlers[op];
    if (handler === undefined) throw new Error(`no such operation: ${op}`);
    reply({ id, value: await handler(args as never) });
  } catch (error) {
    reply({ id, failure: (error as Error).message });
  }
}

function reply(message: ProbeAnswer): void {
  process.send?.(message);
}
