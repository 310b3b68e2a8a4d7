/**
 * The configuration of one run: flags, then WEFT_* variables, then the YAML file, then STATE/host.yaml, then defaults.
 * Called by the CLI's verbs and nobody else; the result is handed down. Reads two files and writes none.
 */
import { join } from 'node:path';
import { stringify } from 'yaml';
import { formatEndpoint } from '../endpoint.ts';
import { type ErrorCode, WeftError } from '../errors.ts';
import { explainIssue } from './explain.ts';
import { CONFIG_KEYS, type ConfigKey, HOST_KEYS } from './keys.ts';
import { type Layer, layerOfEnv, layerOfFlags, type Setting } from './layer.ts';
import { type Config, configSchema } from './schema.ts';
import { layerOfYaml, readSettingsFile } from './yaml-file.ts';

export const DEFAULT_CONFIG_FILE = '/etc/weft/config.yaml';
const HOST_FILE = 'host.yaml';

export interface ConfigSources {
  /** Texts under YAML keys: `state_dir`, `socket`, `name`, `address`, `underlay`, `tap`. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `--config`; must exist if given. Else WEFT_CONFIG, else the default file if there is one. */
  readonly file?: string | undefined;
}

/** @throws WeftError E_CONFIG or E_STATE naming the place */
export function loadConfig(sources: ConfigSources): Config {
  const { layers, host } = allLayers(sources);
  return parseLayers(layers, new Set(host.values()));
}

/** Where a key's value comes from: `--tap`, `environment variable WEFT_TAP`, `FILE:LINE:COLUMN`, or null for its default. */
export interface Origin {
  readonly key: ConfigKey;
  /** As it was written; as the schema has it for a default. */
  readonly value: unknown;
  readonly from: string | null;
}

/** Every key with its value and where that stands. @throws WeftError E_CONFIG or E_STATE as loadConfig */
export function originsOf(sources: ConfigSources): Origin[] {
  const { layers, host } = allLayers(sources);
  parseLayers(layers, new Set(host.values()));
  return CONFIG_KEYS.map((key) => {
    const setting = layers.map((layer) => layer.get(key.yaml)).find((each) => each !== undefined);
    if (setting === undefined) return { key, value: JSON.parse(key.default), from: null };
    return { key, value: setting.value, from: setting.at([]) };
  });
}

/** Strongest first; `host` is the last of them. */
function allLayers(sources: ConfigSources): { readonly layers: readonly Layer[]; readonly host: Layer } {
  const layers = outerLayers(sources);
  const { stateDir } = parseLayers(layers);
  const file = join(stateDir, HOST_FILE);
  const text = readSettingsFile(file, 'E_STATE', false);
  const host: Layer = text === null ? new Map() : layerOfYaml(file, text, HOST_KEYS, 'E_STATE');
  return { layers: [...layers, host], host };
}

/**
 * The socket that the asking verbs talk to. Reads no file when a flag or variable names it, and passes over a
 * default file that this user may not read, since asking needs no other setting.
 */
export function loadSocketPath(sources: ConfigSources): string {
  const near = [layerOfFlags(CONFIG_KEYS, sources.flags), layerOfEnv(CONFIG_KEYS, sources.env)];
  const named = near.map((layer) => layer.get('socket')).find((setting) => setting !== undefined);
  if (named !== undefined) return parseLayers([new Map([['socket', named]])]).socket;
  return parseLayers(outerLayers(sources, true)).socket;
}

/** Text of STATE/host.yaml for what `init` or `up` settled. */
export function formatHostSettings(config: Pick<Config, 'name' | 'address' | 'underlay' | 'tap'>): string {
  const { name, address, underlay, tap } = config;
  const endpoint = underlay === null ? null : formatEndpoint(underlay);
  const settled = {
    ...(name !== null && { name }),
    address,
    ...(endpoint !== null && { underlay: endpoint }),
    tap,
  };
  return `# Written by weft init or weft up. Flags, WEFT_* and the config file win over it.\n${stringify(settled)}`;
}

/** Flags, environment, file: strongest first. */
function outerLayers(sources: ConfigSources, tolerant = false): Layer[] {
  const named = sources.file ?? (sources.env.WEFT_CONFIG || undefined);
  const file = named ?? DEFAULT_CONFIG_FILE;
  const text = readOuterFile(file, named !== undefined, tolerant);
  return [
    layerOfFlags(CONFIG_KEYS, sources.flags),
    layerOfEnv(CONFIG_KEYS, sources.env),
    ...(text === null ? [] : [layerOfYaml(file, text, CONFIG_KEYS, 'E_CONFIG')]),
  ];
}

function readOuterFile(file: string, required: boolean, tolerant: boolean): string | null {
  try {
    return readSettingsFile(file, 'E_CONFIG', required);
  } catch (error) {
    if (tolerant && !required) return null;
    throw error;
  }
}

/** Merges layers, strongest first, and applies the schema. `state` holds the settings that are state, not configuration. */
function parseLayers(layers: readonly Layer[], state: ReadonlySet<Setting> = new Set()): Config {
  const chosen = new Map<string, Setting>();
  for (const layer of layers) {
    for (const [yaml, setting] of layer) if (!chosen.has(yaml)) chosen.set(yaml, setting);
  }
  const result = configSchema.safeParse(nest(chosen));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const { key, within } = locate(issue?.path ?? []);
  const setting = key === undefined ? undefined : chosen.get(key.yaml);
  if (issue === undefined || key === undefined || setting === undefined) {
    throw new WeftError('E_CONFIG', `configuration: ${result.error.message}; see docs/CONFIG.md`);
  }
  const code: ErrorCode = state.has(setting) ? 'E_STATE' : 'E_CONFIG';
  const value = typeof within[0] === 'number' ? elementAt(setting.value, within[0]) : setting.value;
  throw new WeftError(code, `${setting.at(within)}: ${key.yaml}: ${explainIssue(issue, value)}`);
}

function elementAt(list: unknown, index: number): unknown {
  return Array.isArray(list) ? list[index] : list;
}

/** The key an issue is about, and the rest of its path. */
function locate(path: readonly PropertyKey[]): {
  key: ConfigKey | undefined;
  within: readonly PropertyKey[];
} {
  const fits = (candidate: ConfigKey): boolean => candidate.path.every((field, i) => path[i] === field);
  const key = CONFIG_KEYS.find(fits);
  return { key, within: path.slice(key?.path.length ?? 0) };
}

/** `log.level` to `{ log: { level } }`, in the schema's spelling. */
function nest(chosen: ReadonlyMap<string, Setting>): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  for (const key of CONFIG_KEYS) {
    const setting = chosen.get(key.yaml);
    if (setting === undefined) continue;
    const [first = '', second] = key.path;
    if (second === undefined) root[first] = setting.value;
    else root[first] = { ...(root[first] as Record<string, unknown> | undefined), [second]: setting.value };
  }
  return root;
}
