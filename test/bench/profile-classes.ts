/**
 * Sorts the samples of a CPU profile by what the processor was doing: where a byte's nanoseconds go. A sample is the innermost
 * function only. Pure: text of `perf script -F tid,ip,sym,dso` in, counts out.
 */

/** In the order of the table. */
export const CLASSES = ['kernel', 'crypto', 'addon', 'typescript', 'binding', 'libc', 'other'] as const;
export type Class = (typeof CLASSES)[number];

export interface Sample {
  readonly thread: number;
  readonly symbol: string;
  /** File or pseudo-file that the code is in. */
  readonly object: string;
}

/** OpenSSL inside Node's own binary: its assembler and its EVP layer. */
const CRYPTO =
  /^_*(aes|aesni|vaes|gcm|ghash|gcm_ghash|ossl|openssl|evp|crypto_gcm|crypto|chacha|poly1305|cipher)[_A-Z0-9]/i;

/** One line: `  TID  IP SYMBOL (OBJECT)`; null for anything else. */
export function parseSample(line: string): Sample | null {
  const match = /^\s*(\d+)\s+[0-9a-f]+\s+(.*?)\s+\(([^()]*(?:\(deleted\))?)\)\s*$/.exec(line);
  if (match === null) return null;
  const [, thread = '', symbol = '', object = ''] = match;
  return { thread: Number(thread), symbol, object };
}

/** What V8 compiled of TypeScript lies in no file; its builtins are part of Node's binary and count with it. */
export function classOf({ symbol, object }: Sample): Class {
  if (/^\[(kernel|guest)|\.ko\b|^\[vdso\]|vmlinux/.test(object)) return 'kernel';
  if (/tun-tap[^/]*\.node$/.test(object)) return 'addon';
  if (/libcrypto|libIPSec_MB/.test(object)) return 'crypto';
  if (/perf-\d+\.map$|^\[JIT\]|^\/\/anon|^\[anon/.test(object) || /^Builtins_/.test(symbol))
    return 'typescript';
  if (/\/node$/.test(object)) return CRYPTO.test(symbol) ? 'crypto' : 'binding';
  if (/\/(libc|libpthread|libm|ld-linux)[-.\w]*\.so/.test(object)) return 'libc';
  return 'other';
}

export interface Shares {
  readonly samples: number;
  /** Parts of 1, which add up to 1. */
  readonly share: Readonly<Record<Class, number>>;
  /** Functions with most samples, first ones first. */
  readonly top: readonly { readonly symbol: string; readonly class: Class; readonly share: number }[];
}

const TOP = 12;

export function sharesOf(samples: readonly Sample[]): Shares {
  const counts = Object.fromEntries(CLASSES.map((name) => [name, 0])) as Record<Class, number>;
  const bySymbol = new Map<string, { symbol: string; class: Class; count: number }>();
  for (const sample of samples) {
    const name = classOf(sample);
    counts[name]++;
    const entry = bySymbol.get(`${name} ${sample.symbol}`) ?? {
      symbol: sample.symbol,
      class: name,
      count: 0,
    };
    entry.count++;
    bySymbol.set(`${name} ${sample.symbol}`, entry);
  }
  const total = Math.max(1, samples.length);
  const share = Object.fromEntries(CLASSES.map((name) => [name, counts[name] / total])) as Record<
    Class,
    number
  >;
  const top = [...bySymbol.values()]
    .sort((x, y) => y.count - x.count)
    .slice(0, TOP)
    .map(({ count, ...rest }) => ({ ...rest, share: count / total }));
  return { samples: samples.length, share, top };
}

/** What the language costs: the compiled TypeScript and the way from it to the addon. */
export const languageShare = ({ share }: Shares): number => share.typescript + share.binding;
