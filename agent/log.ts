/**
 * The agent's log on stderr: one human line per event on a terminal, JSON lines otherwise (pino). A leaf. Two nets keep
 * secrets out: fields with secret-looking names are masked at any depth, and whatever looks like a join token is masked
 * in the finished line. They are nets: no caller may log a secret in the first place.
 */
import { createRequire } from 'node:module';
import { type DestinationStream, destination, type Logger, pino, stdTimeFunctions } from 'pino';

export type { Logger };

export interface LogOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  readonly format: 'auto' | 'json' | 'human';
}

const STDERR = 2;
const MASK = '[redacted]';
/** Deeper objects are not logged here. */
const MAX_DEPTH = 6;
const SECRET_NAME =
  /(^|[a-z_-])(token|psk|secret|seed|password|passphrase|key|bearer)$|^(token|psk|secret|seed|key)/i;
/** Names that look secret and are not. */
const PUBLIC_NAME = /^(public_?key|.*pk|token_?(id|file|count|uses)|seeds|key_?(id|file))$/i;
const TOKEN_TEXT = /weft(?:recovery)?\d_[A-Za-z0-9_-]{8,}/g;

/** @param into where lines go; stderr unless a test says otherwise */
export function createLog(options: LogOptions, into?: DestinationStream): Logger {
  const human = options.format === 'human' || (options.format === 'auto' && process.stderr.isTTY === true);
  const stream = into ?? (human ? humanStream() : destination({ dest: STDERR, sync: true }));
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: {
        level: (label) => ({ level: label }),
        log: (fields) => maskFields(fields, 0),
      },
      hooks: { streamWrite: (line) => line.replace(TOKEN_TEXT, `weft_${MASK}`) },
    },
    stream,
  );
}

/** Loaded only where somebody reads along. */
function humanStream(): DestinationStream {
  const pretty = createRequire(import.meta.url)('pino-pretty') as typeof import('pino-pretty');
  return pretty({
    colorize: process.stderr.isTTY === true && pretty.isColorSupported,
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
    sync: true,
    destination: STDERR,
  });
}

/** A copy with the values of secret-looking names masked. */
function maskFields(fields: Record<string, unknown>, depth: number): Record<string, unknown> {
  const masked: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    masked[name] = SECRET_NAME.test(name) && !PUBLIC_NAME.test(name) ? MASK : maskValue(value, depth);
  }
  return masked;
}

function maskValue(value: unknown, depth: number): unknown {
  if (value instanceof Error) return errorFields(value);
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) return '[deep]';
  if (Array.isArray(value)) return value.map((item) => maskValue(item, depth + 1));
  return maskFields(value as Record<string, unknown>, depth + 1);
}

function errorFields(error: Error): Record<string, unknown> {
  const code = 'code' in error ? { code: error.code } : {};
  return { type: error.name, ...code, message: error.message, stack: error.stack };
}
