/**
 * One source of settings: flags, environment, a YAML file or the host settings of the state directory. Each setting
 * remembers where it was written, so that a complaint can name the place.
 */
import type { ConfigKey } from './keys.ts';

export interface Setting {
  readonly value: unknown;
  /** Where it stands, `FILE:LINE:COLUMN`, `--tap` or `WEFT_TAP`; `within` picks an element of a list. */
  at(within: readonly PropertyKey[]): string;
}

/** Keyed by `ConfigKey.yaml`; bounded by the schema. */
export type Layer = ReadonlyMap<string, Setting>;

/** Settings from command line flags: texts under the YAML key they stand for. */
export function layerOfFlags(
  keys: readonly ConfigKey[],
  flags: Readonly<Record<string, string | undefined>>,
): Layer {
  const layer = new Map<string, Setting>();
  for (const key of keys) {
    const text = flags[key.yaml];
    if (text === undefined) continue;
    layer.set(key.yaml, { value: coerce(key, text), at: () => `--${key.yaml.replace(/_dir$/, '')}` });
  }
  return layer;
}

/** Settings from the environment. An empty variable counts as unset. */
export function layerOfEnv(
  keys: readonly ConfigKey[],
  env: Readonly<Record<string, string | undefined>>,
): Layer {
  const layer = new Map<string, Setting>();
  for (const key of keys) {
    const text = env[key.env];
    if (text === undefined || text === '') continue;
    layer.set(key.yaml, { value: coerce(key, text), at: () => `environment variable ${key.env}` });
  }
  return layer;
}

/** Text to the type of the key; what is no number stays text for the schema to refuse. */
function coerce(key: ConfigKey, text: string): unknown {
  const number = (part: string): unknown => (/^-?\d+(\.\d+)?$/.test(part) ? Number(part) : part);
  const parts = (): string[] => text.split(',').map((part) => part.trim());
  switch (key.kind) {
    case 'text':
      return text;
    case 'number':
      return number(text);
    case 'texts':
      return parts();
    case 'numbers':
      return parts().map(number);
  }
}
