/** Durations as people type them: `90s`, `15m`, `1h`, `7d`, `1h30m`. */

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds, or null if the text is no duration. A number without unit is refused: its unit would be a guess. */
export function parseDuration(text: string): number | null {
  if (!/^(\d{1,9}[smhd])+$/.test(text)) return null;
  let totalMs = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)([smhd])/g)) {
    totalMs += Number(count) * (UNIT_MS[unit ?? ''] ?? 0);
  }
  return totalMs;
}
