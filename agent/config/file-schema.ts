/** JSON Schema of the configuration file, for editors: the one schema with the names that YAML uses. */
import { z } from 'zod';
import { snakeCase } from './keys.ts';
import { configSchema } from './schema.ts';

type Schema = Record<string, unknown>;

export function fileSchema(): Schema {
  const schema = z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' }) as Schema;
  return { ...renamed(schema), title: 'weft configuration file' };
}

/** Properties in snake case, at every level. */
function renamed(schema: Schema): Schema {
  const { properties, required, ...rest } = schema;
  if (properties === undefined) return schema;
  const entries = Object.entries(properties as Record<string, Schema>);
  return {
    ...rest,
    properties: Object.fromEntries(entries.map(([name, property]) => [snakeCase(name), renamed(property)])),
    ...(Array.isArray(required) && { required: required.map((name) => snakeCase(String(name))) }),
  };
}
