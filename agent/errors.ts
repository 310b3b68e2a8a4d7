/**
 * The control plane's failures: one table of stable codes, each with the exit status that the CLI ends with.
 * Called by everything outside the data path. The data path never throws; it counts a drop reason instead.
 *
 * A message names the thing, the place and the fix, in one line, and never holds a secret.
 */

/** Exit statuses of the `weft` command; 78 is EX_CONFIG of sysexits.h. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  notRunning: 3,
  notAuthorised: 4,
  notFound: 5,
  timedOut: 6,
  badConfig: 78,
  interrupted: 130,
} as const;

/** Stable error codes and the exit status of each. Only ever grows. */
const EXIT_OF_CODE = {
  E_USAGE: EXIT.usage,
  E_CONFIG: EXIT.badConfig,
  E_STATE: EXIT.badConfig,
  E_STATE_EXISTS: EXIT.failure,
  E_NO_STATE: EXIT.badConfig,
  E_NOT_RUNNING: EXIT.notRunning,
  E_ALREADY_RUNNING: EXIT.failure,
  E_PRIVILEGE: EXIT.notAuthorised,
  E_DEVICE: EXIT.failure,
  E_ADDRESS_IN_USE: EXIT.failure,
  E_TOKEN: EXIT.notAuthorised,
  E_REFUSED: EXIT.notAuthorised,
  E_CLOCK: EXIT.notAuthorised,
  E_REVOKED: EXIT.notAuthorised,
  E_RECORD: EXIT.notAuthorised,
  E_NOT_FOUND: EXIT.notFound,
  E_TIMEOUT: EXIT.timedOut,
  E_UNREACHABLE: EXIT.timedOut,
  E_REQUEST: EXIT.usage,
  E_INTERNAL: EXIT.failure,
  E_SELF_TEST: EXIT.failure,
} as const;

export type ErrorCode = keyof typeof EXIT_OF_CODE;

/** Whether a code that came over the control socket is one of this version's. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(EXIT_OF_CODE, text);
}

/** A failure that an operator can act on. `message` is the one line that is shown. */
export class WeftError extends Error {
  override readonly name = 'WeftError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  /** Exit status for the CLI. */
  get exitStatus(): number {
    return EXIT_OF_CODE[this.code];
  }
}
