/** A service manager's end of sd_notify(3): a UNIX datagram socket, read by Python because Node has none. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { until } from '../../agent/lab/wait.ts';

const CODE = `import socket, sys
name = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(chr(0) + name[1:] if name[0] == '@' else name)
print('listening', flush=True)
while True:
    sys.stdout.buffer.write(s.recv(65536) + b'\\n')
    sys.stdout.flush()
`;

export interface Told {
  readonly text: string;
  /** Of `performance.now`. */
  readonly atMs: number;
}

export class NotifySocket {
  /** What came, by lines; bounded by the time of a test. */
  readonly lines: Told[] = [];
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** @param name a path, or `@name` */
  static async listen(name: string): Promise<NotifySocket> {
    const child = spawn('python3', ['-c', CODE, name], { stdio: ['ignore', 'pipe', 'inherit'] });
    const socket = new NotifySocket(child);
    let up = false;
    createInterface({ input: child.stdout }).on('line', (text) => {
      if (!up) up = text === 'listening';
      else if (text !== '') socket.lines.push({ text, atMs: performance.now() });
    });
    await until('listener', { timeoutMs: 10_000, everyMs: 10 }, () => (up ? true : null));
    return socket;
  }

  count(text: string): number {
    return this.lines.filter((line) => line.text === text).length;
  }

  /** Waits until a line that begins so has come `times` times. */
  async saw(start: string, times = 1, timeoutMs = 30_000): Promise<void> {
    await until(`${start} (have ${this.lines.length} lines)`, { timeoutMs, everyMs: 20 }, () =>
      this.lines.filter(({ text }) => text.startsWith(start)).length >= times ? true : null,
    );
  }

  async close(): Promise<void> {
    const ended = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await ended;
  }
}
