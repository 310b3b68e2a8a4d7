/**
 * A YAML settings file as a layer: syntax, unknown keys and the position of every value. Complaints read
 * `FILE:LINE:COLUMN: what is wrong; fix`. Values are checked later, by the schema. YAML 1.2: `off` and `no` are texts.
 */
import { readFileSync } from 'node:fs';
import {
  type Document,
  isMap,
  isNode,
  isScalar,
  LineCounter,
  type Pair,
  parseDocument,
  type YAMLMap,
} from 'yaml';
import { type ErrorCode, WeftError } from '../errors.ts';
import type { ConfigKey } from './keys.ts';
import type { Layer, Setting } from './layer.ts';
import { nearest } from './nearest.ts';

/** No honest file is longer; a longer one is refused unread. */
const MAX_FILE_BYTES = 262_144;

/**
 * The file's text. Null if it does not exist and need not.
 * @throws WeftError `code` naming the file
 */
export function readSettingsFile(file: string, code: ErrorCode, required: boolean): string | null {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    if (reason === 'ENOENT' && !required) return null;
    const fix = reason === 'EACCES' ? 'run as root or fix its mode' : 'check the path';
    throw new WeftError(code, `${file}: cannot be read (${reason}); ${fix}`, { cause });
  }
  if (bytes.length > MAX_FILE_BYTES) {
    throw new WeftError(code, `${file}: is ${bytes.length} bytes long; keep it below ${MAX_FILE_BYTES}`);
  }
  return bytes.toString('utf8');
}

/** @throws WeftError `code` at the first thing wrong */
export function layerOfYaml(file: string, text: string, keys: readonly ConfigKey[], code: ErrorCode): Layer {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const fail = (offset: number, what: string): never => {
    const { line, col } = lines.linePos(offset);
    throw new WeftError(code, `${file}:${Math.max(line, 1)}:${Math.max(col, 1)}: ${what}`);
  };
  const [error] = document.errors;
  if (error !== undefined) fail(error.pos[0], `${firstLine(error.message)}; fix the YAML there`);
  const layer = new Map<string, Setting>();
  const root = document.contents;
  if (root === null || (isScalar(root) && root.value === null)) return layer;
  if (!isMap(root)) return fail(root.range?.[0] ?? 0, 'is not a list of settings; write `key: value` lines');
  collect(root, '');
  return layer;

  function collect(map: YAMLMap, prefix: string): void {
    for (const pair of map.items) {
      const name = keyName(pair);
      const yaml = prefix + name;
      const key = keys.find((candidate) => candidate.yaml === yaml);
      if (key !== undefined) {
        layer.set(yaml, settingOf(document, pair, yaml));
      } else if (keys.some((candidate) => candidate.yaml.startsWith(`${yaml}.`))) {
        if (isMap(pair.value)) collect(pair.value, `${yaml}.`);
        else if (!isEmpty(pair.value))
          fail(offsetOf(pair.value), `${yaml} must hold settings; indent them under it`);
      } else {
        fail(offsetOf(pair.key), `unknown key ${JSON.stringify(yaml)}; ${adviceFor(yaml, keys)}`);
      }
    }
  }

  function settingOf(doc: Document, pair: Pair, yaml: string): Setting {
    return {
      value: readValue(doc, pair, yaml),
      at(within) {
        const { line, col } = lines.linePos(offsetOf(elementOf(pair.value, within) ?? pair.key));
        return `${file}:${line}:${col}`;
      },
    };
  }

  function readValue(doc: Document, pair: Pair, yaml: string): unknown {
    if (!isNode(pair.value)) return null;
    try {
      return pair.value.toJS(doc);
    } catch {
      return fail(
        offsetOf(pair.value),
        `${yaml} has an alias that cannot be followed; write the value itself`,
      );
    }
  }
}

function keyName(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
}

function isEmpty(node: unknown): boolean {
  return node === null || (isScalar(node) && node.value === null);
}

/** The list element that `within` names, else the whole value. */
function elementOf(value: unknown, within: readonly PropertyKey[]): unknown {
  const [index] = within;
  if (typeof index !== 'number' || !isNode(value) || !('items' in value) || !Array.isArray(value.items))
    return value;
  return value.items[index] ?? value;
}

function offsetOf(node: unknown): number {
  return isNode(node) ? (node.range?.[0] ?? 0) : 0;
}

function firstLine(message: string): string {
  return message.split('\n', 1)[0] ?? message;
}

function adviceFor(yaml: string, keys: readonly ConfigKey[]): string {
  const guess = nearest(
    yaml,
    keys.map((key) => key.yaml),
  );
  return guess === null
    ? 'remove it, or see docs/CONFIG.md for the keys'
    : `did you mean ${JSON.stringify(guess)}?`;
}
