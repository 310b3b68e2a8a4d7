/** Parsers of option values, for commander: each returns the value or says what it must be. */
import { InvalidArgumentError, Option } from 'commander';
import { parseDuration } from './duration.ts';

export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

/** The same for an option that may be given several times, or several values. */
export function wholeNumbers(min: number, max: number): (text: string, before?: number[]) => number[] {
  const one = wholeNumber(min, max);
  return (text, before = []) => [...before, one(text)];
}

/** Milliseconds. */
export function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms !== null && ms > 0) return ms;
  throw new InvalidArgumentError('It must be a duration such as 90s, 15m, 1h or 7d.');
}

export function label(text: string): string {
  if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text)) return text;
  throw new InvalidArgumentError('It must be 1 to 63 of a-z, 0-9 and inner hyphens.');
}

/** The start of a host name: may end in a hyphen. */
export function labelPrefix(text: string): string {
  if (/^[a-z0-9][a-z0-9-]{0,61}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be 1 to 62 of a-z, 0-9 and hyphens, not starting with a hyphen.');
}

/** `--json`, the same on every reading verb. */
export function jsonOption(): Option {
  return new Option('--json', 'one JSON object, for scripts: fields are only ever added');
}

/** The host settings that `init` and `up` share. */
export function hostOptions(): Option[] {
  return [
    new Option('--address <cidr>', 'overlay address with prefix, such as 10.80.0.1/24, or auto'),
    new Option(
      '--underlay <ip[:port]>',
      'where other hosts reach this one (default: the routed address, port 7947)',
    ),
    new Option('--tap <name>', 'name of the TAP device (default: weft0)'),
  ];
}
