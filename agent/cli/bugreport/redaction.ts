/**
 * Keeps secrets out of a bug report, twice. First whatever is a key of the state directory, in any of the forms in which
 * one comes to be printed, and whatever looks like a join token, is masked. Then the finished report is searched again for
 * the same, and one that still holds a secret is never written. Keys are read for comparison only.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const MASK = '[redacted]';
/** log.ts masks the same. */
const TOKEN_TEXT = /weft(?:recovery)?\d_[A-Za-z0-9_-]{8,}/g;
/** Secret files of agent/identity/state-dir.ts. */
const SECRET_FILE = /\.key$/;
const KEY_BYTES = 32;

/** Every secret of a state directory: whole files, and the seed at the start of a longer one. Empty without a directory. */
export function secretsOf(stateDir: string): Buffer[] {
  let names: string[];
  try {
    names = readdirSync(stateDir).filter((name) => SECRET_FILE.test(name));
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    try {
      const bytes = readFileSync(join(stateDir, name));
      const trimmed = Buffer.from(bytes.toString('latin1').trim(), 'latin1');
      const forms = [bytes, trimmed, bytes.subarray(0, KEY_BYTES)].filter(
        ({ length }) => length >= KEY_BYTES / 2,
      );
      return forms.filter((form, i) => forms.findIndex((other) => other.equals(form)) === i);
    } catch {
      // Who may not read a key cannot leak it.
      return [];
    }
  });
}

/** Forms of one secret as text; base64 of a part of a longer text has three alignments, of which the inner part counts. */
function textForms(secret: Buffer): string[] {
  const hex = secret.toString('hex');
  const pairs = hex.match(/../g) ?? [];
  const base64 = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), secret])
      .toString('base64')
      .replace(/=+$/, '');
    // The first and the last characters mix with what stands beside.
    return text.slice(shift === 0 ? 0 : shift + 1, shift === 0 ? undefined : -1);
  });
  const forms = [
    hex,
    hex.toUpperCase(),
    pairs.join(':'),
    pairs.join(' '),
    pairs.map((pair) => Number.parseInt(pair, 16)).join(','),
    ...base64,
    ...base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
    secret.toString('latin1'),
    secret.toString('utf8'),
  ];
  return forms.map((form) => (form.length > 40 ? form.slice(0, -2) : form));
}

/** Masks secrets in a text. */
export function redactor(secrets: readonly Buffer[]): (text: string) => string {
  const forms = [...new Set(secrets.flatMap(textForms))].sort((a, b) => b.length - a.length);
  return (text) => {
    let masked = text.replace(TOKEN_TEXT, `weft_${MASK}`);
    for (const form of forms) if (masked.includes(form)) masked = masked.replaceAll(form, MASK);
    return masked;
  };
}

/** Whether bytes still hold a secret in any form. */
export function holdsSecret(bytes: Buffer, secrets: readonly Buffer[]): boolean {
  const text = bytes.toString('latin1');
  if (text.search(TOKEN_TEXT) >= 0) return true;
  return secrets.some(
    (secret) => bytes.includes(secret) || textForms(secret).some((form) => text.includes(form)),
  );
}
