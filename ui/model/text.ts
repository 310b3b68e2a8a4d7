/** Numbers as people read them: bytes, rates, times, shares. Pure; used by every part of the page. */

const RATE_UNITS = ['b/s', 'kb/s', 'Mb/s', 'Gb/s', 'Tb/s'];
const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Three digits at most after scaling: `1.25`, `12.5`, `125`. */
function digits(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return String(Number(value.toFixed(value >= 10 ? 1 : 2)));
}

function scaled(value: number, step: number, units: readonly string[]): string {
  let at = 0;
  let rest = value;
  while (rest >= step && at < units.length - 1) {
    rest /= step;
    at += 1;
  }
  return `${at === 0 ? Math.round(rest) : digits(rest)} ${units[at]}`;
}

/** Bits a second, in decimal units, from bytes a second. */
export function formatRate(bytesPerSec: number): string {
  return scaled(bytesPerSec * 8, 1000, RATE_UNITS);
}

export function formatBytes(bytes: number): string {
  return scaled(bytes, 1024, BYTE_UNITS);
}

export function formatRtt(ms: number | null): string {
  if (ms === null) return '–';
  return ms < 1 ? `${ms.toFixed(2)} ms` : `${digits(ms)} ms`;
}

/** `–` when nothing is known, `0 %`, `3.1 %`. */
export function formatLoss(share: number | null): string {
  return share === null ? '–' : `${Number((share * 100).toFixed(1))} %`;
}

/** The two largest units: `3 d 4 h`, `12 min 5 s`, `4 s`. */
export function formatAge(ms: number | null): string {
  if (ms === null) return '–';
  const sec = Math.max(0, Math.floor(ms / 1000));
  const parts: [number, string][] = [
    [Math.floor(sec / 86_400), 'd'],
    [Math.floor(sec / 3600) % 24, 'h'],
    [Math.floor(sec / 60) % 60, 'min'],
    [sec % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0 s';
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ');
}

export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

/** Local time of day with milliseconds; the date is in the title of the row. */
export function formatTime(atMs: number): string {
  const at = new Date(atMs);
  const two = (value: number): string => String(value).padStart(2, '0');
  const ms = String(at.getMilliseconds()).padStart(3, '0');
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${ms}`;
}
