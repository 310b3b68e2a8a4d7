/**
 * Chromium without a window, driven by chromedriver's W3C WebDriver protocol over fetch: what the tests of the web page click with. It
 * resolves no name and reaches loopback only. Ends with its test, however that ends.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../../agent/lab/wait.ts';
import { ROOT } from '../unit/style-source.ts';

const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';
export const KEY = { left: '\uE012', right: '\uE014', tab: '\uE004', escape: '\uE00C' } as const;
/** Where screenshots are kept; not under version control. */
const SCREENSHOTS = join(ROOT, 'screenshots');

export interface LogEntry {
  readonly level: string;
  readonly message: string;
}

export class Browser {
  readonly #driver: ChildProcess;
  readonly #base: string;
  readonly #profile: string;
  readonly #onExit = (): void => void this.#driver.kill('SIGKILL');
  #session = '';

  private constructor(driver: ChildProcess, port: number) {
    this.#driver = driver;
    this.#base = `http://127.0.0.1:${port}`;
    this.#profile = mkdtempSync(join(tmpdir(), 'weft-chromium-'));
    process.once('exit', this.#onExit);
  }

  static async start(): Promise<Browser> {
    const port = await freePort();
    const driver = spawn('chromedriver', [`--port=${port}`, '--log-level=SEVERE'], { stdio: 'ignore' });
    const failed = new Promise<never>((_, reject) => driver.once('error', reject));
    const browser = new Browser(driver, port);
    try {
      await Promise.race([failed, browser.#open()]);
      return browser;
    } catch (error) {
      await browser.close();
      throw error;
    }
  }

  async #open(): Promise<void> {
    await until('chromedriver', { timeoutMs: 30_000, everyMs: 100 }, async () => {
      const answer = await fetch(`${this.#base}/status`).catch(() => null);
      return answer?.ok === true ? true : null;
    });
    const args = [
      '--headless=new',
      '--no-sandbox',
      '--disable-dev-shm-usage',
      '--disable-gpu',
      '--disable-background-networking',
      '--disable-component-update',
      '--no-first-run',
      '--no-proxy-server',
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
      '--window-size=1400,1000',
      `--user-data-dir=${this.#profile}`,
    ];
    const alwaysMatch = {
      browserName: 'chrome',
      'goog:chromeOptions': { args },
      'goog:loggingPrefs': { browser: 'ALL' },
      timeouts: { script: 60_000, pageLoad: 60_000 },
    };
    const { sessionId } = await this.#ask<{ sessionId: string }>('POST', '/session', {
      capabilities: { alwaysMatch },
    });
    this.#session = `/session/${sessionId}`;
  }

  open(url: string): Promise<void> {
    return this.#ask('POST', `${this.#session}/url`, { url });
  }

  /** The value of an expression in the page. */
  evaluate<T>(expression: string): Promise<T> {
    return this.#ask('POST', `${this.#session}/execute/sync`, {
      script: `return (${expression});`,
      args: [],
    });
  }

  /** The value of an expression in the page once it is neither null nor false. */
  seen<T = true>(what: string, expression: string, timeoutMs = 30_000): Promise<T> {
    return until(what, { timeoutMs, everyMs: 200 }, async () => {
      const value = await this.evaluate<T | null | false>(expression);
      return value === false ? null : value;
    });
  }

  async click(selector: string): Promise<void> {
    const found = await this.#ask<Record<string, string>>('POST', `${this.#session}/element`, {
      using: 'css selector',
      value: selector,
    });
    await this.#ask('POST', `${this.#session}/element/${found[ELEMENT]}/click`, {});
  }

  /** Keys as a person presses them, to whatever has the focus. */
  async press(...keys: readonly string[]): Promise<void> {
    const actions = keys.flatMap((value) => [
      { type: 'keyDown', value },
      { type: 'keyUp', value },
    ]);
    await this.#ask('POST', `${this.#session}/actions`, {
      actions: [{ type: 'key', id: 'keyboard', actions }],
    });
  }

  /** A command of the DevTools protocol, such as one that sets what the system prefers. */
  devtools(cmd: string, params: unknown): Promise<unknown> {
    return this.#ask('POST', `${this.#session}/goog/cdp/execute`, { cmd, params });
  }

  /** What the console has got since the last call: errors and breaches of the page's policy among it. */
  log(): Promise<LogEntry[]> {
    return this.#ask('POST', `${this.#session}/se/log`, { type: 'browser' });
  }

  async screenshot(name: string): Promise<Buffer> {
    const image = Buffer.from(await this.#ask<string>('GET', `${this.#session}/screenshot`), 'base64');
    mkdirSync(SCREENSHOTS, { recursive: true });
    writeFileSync(join(SCREENSHOTS, `${name}.png`), image);
    return image;
  }

  async close(): Promise<void> {
    if (this.#session !== '') await this.#ask('DELETE', this.#session).catch(() => null);
    const ended = new Promise((resolve) => this.#driver.once('exit', resolve));
    if (this.#driver.exitCode === null && this.#driver.kill('SIGTERM')) await ended;
    process.off('exit', this.#onExit);
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  async #ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await fetch(`${this.#base}${path}`, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const { value } = (await answer.json()) as { value: T & { error?: string; message?: string } };
    if (!answer.ok) throw new Error(`${method} ${path}: ${value.error}: ${value.message}`);
    return value;
  }
}

/** Nothing was refused by the page's policy, and no script failed. */
export async function assertQuiet(browser: Browser): Promise<void> {
  const bad = (await browser.log()).filter(({ level }) => level === 'SEVERE' || level === 'WARNING');
  assert.deepEqual(bad, []);
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const bound = server.address();
      server.close(() => resolve(typeof bound === 'object' && bound !== null ? bound.port : 0));
    });
  });
}
