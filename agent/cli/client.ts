/**
 * The CLI's only door to a running agent: HTTP/1.1 and JSON over its Unix socket. Every failure is one WeftError line:
 * nobody answers, no permission, too slow, or what the agent itself says.
 */
import { type IncomingMessage, request } from 'node:http';
import { type ErrorCode, isErrorCode, WeftError } from '../errors.ts';

const TIMEOUT_MS = 15_000;
/** The longest line of a stream is a captured frame in base64. */
const MAX_LINE_CHARACTERS = 65_536;
/** An FDB of 65,536 entries is 8 MB of JSON. */
const MAX_ANSWER_BYTES = 67_108_864;

export class ApiClient {
  readonly #socket: string;
  readonly #timeoutMs: number;

  constructor(socket: string, timeoutMs = TIMEOUT_MS) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
  }

  /** The parsed answer; its shape is the agent's promise of api-types.ts. */
  async get<T>(path: string): Promise<T> {
    return parseAnswer<T>(await this.#ask('GET', path));
  }

  async send<T>(method: 'POST' | 'DELETE', path: string, body: unknown): Promise<T> {
    return parseAnswer<T>(await this.#ask(method, path, JSON.stringify(body)));
  }

  getText(path: string): Promise<string> {
    return this.#ask('GET', path);
  }

  /** The lines of an answer that goes on until the agent or `signal` ends it. */
  async *lines(path: string, signal: AbortSignal): AsyncGenerator<string> {
    const answer = await this.#open(path, signal);
    if ((answer.statusCode ?? 0) >= 400) await readAnswer(answer);
    let rest = '';
    try {
      for await (const chunk of answer.setEncoding('utf8') as AsyncIterable<string>) {
        const parts = (rest + chunk).split('\n');
        rest = parts.pop() ?? '';
        if (rest.length > MAX_LINE_CHARACTERS)
          throw new WeftError('E_INTERNAL', 'the agent sent a line without end');
        yield* parts;
      }
    } catch (cause) {
      if (signal.aborted) return;
      throw brokenOff(cause, this.#socket);
    }
  }

  #open(path: string, signal: AbortSignal): Promise<IncomingMessage> {
    const socketPath = this.#socket;
    return new Promise((resolve, reject) => {
      const outgoing = request({ socketPath, path, agent: false, signal }, resolve);
      outgoing.on('error', (cause) => reject(connectionError(cause, socketPath)));
      outgoing.end();
    });
  }

  #ask(method: string, path: string, body?: string): Promise<string> {
    const socketPath = this.#socket;
    const timeout = this.#timeoutMs;
    const headers =
      body === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    return new Promise((resolve, reject) => {
      const outgoing = request({ socketPath, method, path, headers, agent: false, timeout }, (answer) => {
        readAnswer(answer).then(resolve, (cause) => reject(brokenOff(cause, socketPath)));
      });
      outgoing.on('timeout', () => {
        const seconds = timeout / 1000;
        outgoing.destroy(
          new WeftError(
            'E_TIMEOUT',
            `the agent at ${socketPath} did not answer within ${seconds} s: look at its log`,
          ),
        );
      });
      outgoing.on('error', (cause) => reject(connectionError(cause, socketPath)));
      outgoing.end(body);
    });
  }
}

function brokenOff(cause: unknown, socketPath: string): WeftError {
  if (cause instanceof WeftError) return cause;
  return new WeftError('E_NOT_RUNNING', `the agent at ${socketPath} broke off its answer: look at its log`, {
    cause,
  });
}

function connectionError(cause: NodeJS.ErrnoException, socketPath: string): WeftError {
  if (cause instanceof WeftError) return cause;
  if (cause.code === 'EACCES' || cause.code === 'EPERM') {
    return new WeftError(
      'E_PRIVILEGE',
      `${socketPath}: permission denied: run as root or join the socket's group`,
      {
        cause,
      },
    );
  }
  if (cause.code?.startsWith('HPE_')) {
    return new WeftError(
      'E_NOT_RUNNING',
      `what answers at ${socketPath} is no agent: give the agent's socket with --socket`,
      { cause },
    );
  }
  return new WeftError(
    'E_NOT_RUNNING',
    `no agent answers at ${socketPath}: start it with \`weft run\` or \`weft up\``,
    {
      cause,
    },
  );
}

function parseAnswer<T>(text: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new WeftError(
      'E_INTERNAL',
      'the agent answered with something else than JSON: is it another version?',
      {
        cause,
      },
    );
  }
}

async function readAnswer(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []; // bounded by MAX_ANSWER_BYTES
  let size = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES)
      throw new WeftError('E_INTERNAL', 'the agent sent more than 64 MiB: give up');
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  if ((answer.statusCode ?? 0) < 400) return text;
  throw errorOf(text, answer.statusCode ?? 0);
}

/** The agent's own error, or what can be said about an answer that holds none. */
function errorOf(text: string, status: number): WeftError {
  const { code, message } = parseError(text);
  return new WeftError(code, message ?? `the agent answered with status ${status}: is it another version?`);
}

function parseError(text: string): { code: ErrorCode; message: string | null } {
  try {
    const parsed = JSON.parse(text) as { error?: { code?: unknown; message?: unknown } } | null;
    const { code, message } = parsed?.error ?? {};
    return {
      code: typeof code === 'string' && isErrorCode(code) ? code : 'E_INTERNAL',
      message: typeof message === 'string' ? message : null,
    };
  } catch {
    return { code: 'E_INTERNAL', message: null };
  }
}
