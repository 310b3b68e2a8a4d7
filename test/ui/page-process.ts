/** `weft ui` as a process next to an agent, with the URL that it printed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { CHILD_ENV, WEFT } from '../../agent/lab/command.ts';

export interface PageProcess {
  readonly url: string;
  /** Ends it as Ctrl-C does; resolves to its exit status. */
  stop(): Promise<number | null>;
}

export async function startPage(socket: string): Promise<PageProcess> {
  const [node = '', ...main] = WEFT;
  const child: ChildProcess = spawn(node, [...main, '--socket', socket, 'ui', '--json'], {
    env: CHILD_ENV,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const onExit = (): void => void child.kill('SIGKILL');
  process.once('exit', onExit);
  const ended = once(child, 'exit');
  const line = await new Promise<string>((resolve, reject) => {
    child.stdout?.setEncoding('utf8').once('data', resolve);
    child.once('exit', () => reject(new Error('weft ui ended before it printed a URL')));
  });
  const { url } = JSON.parse(line) as { url: string };
  return {
    url,
    async stop() {
      child.kill('SIGINT');
      await ended;
      process.off('exit', onExit);
      return child.exitCode;
    },
  };
}
