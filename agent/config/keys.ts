/**
 * The flat list of configuration keys, derived from the schema once: path, YAML key, environment variable, type, range,
 * default and description of each. load.ts reads the environment by it, yaml-file.ts knows keys by it, docs.ts prints it.
 */
import { z } from 'zod';
import { configSchema } from './schema.ts';

export interface ConfigKey {
  /** Field names from the top, `['log', 'level']`. */
  readonly path: readonly string[];
  /** As written in YAML, `log.level` or `gossip_port`. */
  readonly yaml: string;
  readonly env: string;
  readonly kind: 'text' | 'number' | 'texts' | 'numbers';
  /** What values are allowed, for people. */
  readonly values: string;
  /** As YAML. */
  readonly default: string;
  readonly description: string;
}

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** `gossipPort` to `gossip_port`. */
export function snakeCase(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Every key of `schema`, in its order. */
function keysOf(schema: JsonSchema, above: readonly string[]): ConfigKey[] {
  return Object.entries(schema.properties ?? {}).flatMap(([field, property]) => {
    if (typeof property === 'boolean') return [];
    const path = [...above, field];
    return property.properties === undefined ? [keyOf(property, path)] : keysOf(property, path);
  });
}

function keyOf(property: JsonSchema, path: readonly string[]): ConfigKey {
  const yaml = path.map(snakeCase).join('.');
  return {
    path,
    yaml,
    env: `WEFT_${yaml.replaceAll('.', '_').toUpperCase()}`,
    kind: kindOf(property),
    values: valuesOf(property),
    default: property.default === undefined ? absentDefault(property) : JSON.stringify(property.default),
    description: property.description ?? '',
  };
}

function kindOf(property: JsonSchema): ConfigKey['kind'] {
  if (property.type === 'integer') return 'number';
  if (property.type !== 'array') return 'text';
  return itemType(property) === 'integer' ? 'numbers' : 'texts';
}

function itemType(property: JsonSchema): string {
  const items = Array.isArray(property.items) ? property.items[0] : property.items;
  return typeof items === 'object' ? String(items.type) : 'string';
}

function valuesOf(property: JsonSchema): string {
  if (property.enum !== undefined) return property.enum.join(', ');
  if (property.type === 'integer') return `${property.minimum} to ${property.maximum}`;
  if (property.type === 'array') {
    return `list of at most ${property.maxItems} ${itemType(property) === 'integer' ? 'numbers' : 'texts'}`;
  }
  return 'text';
}

/** Defaults that a transform hides from JSON Schema. */
function absentDefault(property: JsonSchema): string {
  return property.type === 'array' ? '[]' : 'null';
}

/** Bounded by the schema. */
export const CONFIG_KEYS: readonly ConfigKey[] = keysOf(
  z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' }),
  [],
);

/** Keys that STATE/host.yaml may hold. */
export const HOST_KEYS: readonly ConfigKey[] = CONFIG_KEYS.filter((key) =>
  ['name', 'address', 'underlay', 'tap'].includes(key.yaml),
);
