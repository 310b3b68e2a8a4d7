/** How a failed verb ends: one line on stderr and an exit status. Called by cli.ts and main.ts. */
import { EXIT, WeftError } from '../errors.ts';
import { clean } from './print.ts';

/** A token given where something else belongs would be echoed; log.ts masks the same. */
const TOKEN_TEXT = /weft\d_[A-Za-z0-9_-]{8,}/g;

/** `weft: what is wrong: fix`, never more than one line, and without a token. */
export function failureLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const [first = ''] = message.split('\n', 1);
  const known = error instanceof WeftError;
  const line = `weft: ${known ? '' : 'unexpected failure: '}${clean(known ? message.replaceAll('\n', ' ') : first)}`;
  return line.replace(TOKEN_TEXT, 'weft_[redacted]');
}

/** The stack of an unforeseen failure, for a bug report: shown only when the environment has WEFT_STACK. */
export function stackOf(error: unknown, env: Readonly<Record<string, string | undefined>>): string {
  const wanted = env.WEFT_STACK && error instanceof Error && !(error instanceof WeftError);
  return wanted ? `${error.stack}\n` : '';
}

export function exitStatusOf(error: unknown): number {
  return error instanceof WeftError ? error.exitStatus : EXIT.failure;
}
