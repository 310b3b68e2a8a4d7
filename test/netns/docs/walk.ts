/**
 * The walk through the documents: lines are typed as they stand there, with what stands for something (FILE, HOST, NAME) filled in,
 * and each is kept, so that the last test can tell whether a document has a command that nobody typed.
 */
import assert from 'node:assert/strict';
import type { Foreground } from './foreground.ts';
import { Machine, type TypeOptions } from './machine.ts';
import { type Addresses, Site } from './site.ts';

export interface StepOptions extends TypeOptions {
  /** What placeholders of the line stand for here. */
  readonly fill?: Readonly<Record<string, string>>;
  /** Exit status; 0 unless said. */
  readonly status?: number;
}

/** A placeholder is a word of capitals by itself. */
export function filled(line: string, fill: Readonly<Record<string, string>> = {}): string {
  return Object.entries(fill).reduce((text, [name, value]) => {
    assert.ok(new RegExp(`(?<![\\w.])${name}(?!\\w)`).test(text), `${line} has no ${name}`);
    return text.replace(new RegExp(`(?<![\\w.])${name}(?!\\w)`), value);
  }, line);
}

export class Walk {
  /** Every line that was typed, as its document has it; bounded by the chapters. */
  readonly typed: string[] = [];
  readonly #sites: Site[] = [];

  /** Machines on one Ethernet, each with its own disks. */
  async machines<Name extends string>(addresses: Addresses & Record<Name, string>): Promise<Place<Name>> {
    const site = await Site.create(addresses);
    this.#sites.push(site);
    const names = Object.keys(addresses) as Name[];
    const machines = await Promise.all(names.map((name) => Machine.boot(site, name)));
    const typists = machines.map((machine) => new Typist(machine, this.typed));
    const at = Object.fromEntries(names.map((name, i) => [name, typists[i]])) as Record<Name, Typist>;
    return { site, at };
  }

  async remove(): Promise<void> {
    for (const site of this.#sites) await site.remove();
  }
}

export interface Place<Name extends string> {
  readonly site: Site;
  readonly at: Readonly<Record<Name, Typist>>;
}

/** Who sits at one machine. */
export class Typist {
  readonly machine: Machine;
  readonly #typed: string[];

  constructor(machine: Machine, typed: string[]) {
    this.machine = machine;
    this.#typed = typed;
  }

  /** Types a line that ends by itself (or leaves a program behind with `&`) and looks at what it says. Returns that. */
  async types(line: string, says: RegExp, options: StepOptions = {}): Promise<string> {
    const { fill, status = 0, ...rest } = options;
    this.#typed.push(line);
    const text = filled(line, fill);
    if (/&$/.test(line)) {
      await this.machine.leave(text, rest);
      return '';
    }
    const ended = await this.machine.run(text, rest);
    const said = `${ended.out}${ended.err}`;
    assert.equal(ended.status, status, `${this.machine.name}: ${text}: ${said}`);
    assert.match(said, says, `${this.machine.name}: ${text}`);
    return ended.out;
  }

  /** As `types`, for an answer in JSON that has these keys. */
  async asks(
    line: string,
    keys: readonly string[],
    options: StepOptions = {},
  ): Promise<Record<string, unknown>> {
    const answer = JSON.parse(await this.types(line, /^\{/, options)) as Record<string, unknown>;
    assert.deepEqual(
      keys.filter((key) => !Object.hasOwn(answer, key)),
      [],
      `${line} lacks keys: ${JSON.stringify(answer).slice(0, 500)}`,
    );
    return answer;
  }

  /** Types a line that stays. */
  starts(line: string, options: StepOptions = {}): Foreground {
    const { fill, ...rest } = options;
    this.#typed.push(line);
    return this.machine.foreground(filled(line, fill), rest);
  }
}
