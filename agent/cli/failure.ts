/** How a failed verb ends: one line on stderr and an exit status. Called by cli.ts and main.ts. */
import { EXIT, WeftError } from '../errors.ts';
import { clean } from './print.ts';

/** `weft: what is wrong: fix`, never more than one line. */
export function failureLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const [first = ''] = message.split('\n', 1);
  const known = error instanceof WeftError;
  return `weft: ${known ? '' : 'unexpected failure: '}${clean(known ? message.replaceAll('\n', ' ') : first)}`;
}

/** The stack of an unforeseen failure, for a bug report: shown only when the environment has WEFT_STACK. */
export function stackOf(error: unknown, env: Readonly<Record<string, string | undefined>>): string {
  const wanted = env.WEFT_STACK && error instanceof Error && !(error instanceof WeftError);
  return wanted ? `${error.stack}\n` : '';
}

export function exitStatusOf(error: unknown): number {
  return error instanceof WeftError ? error.exitStatus : EXIT.failure;
}
