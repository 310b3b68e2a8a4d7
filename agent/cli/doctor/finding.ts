/** What `weft doctor` says: one line for each thing that it looked at. Field names and check names are stable. */
import { clean, paint } from '../print.ts';

export type Level = 'ok' | 'warn' | 'fail';

export interface Finding {
  /** Short name of what was looked at: `kernel`, `tun`, `mtu`. */
  readonly check: string;
  readonly level: Level;
  /** What is so, in one line. */
  readonly what: string;
  /** What to do about it; null when nothing needs doing. */
  readonly fix: string | null;
}

/** `weft doctor --json` */
export interface DoctorReport {
  readonly v: 1;
  readonly failures: number;
  readonly warnings: number;
  readonly findings: readonly Finding[];
}

const COLOUR = { ok: 'green', warn: 'yellow', fail: 'red' } as const;

export const ok = (check: string, what: string): Finding => ({ check, level: 'ok', what, fix: null });
export const warn = (check: string, what: string, fix: string): Finding => ({
  check,
  level: 'warn',
  what,
  fix,
});
export const fail = (check: string, what: string, fix: string): Finding => ({
  check,
  level: 'fail',
  what,
  fix,
});

export function reportOf(findings: readonly Finding[]): DoctorReport {
  const count = (level: Level): number => findings.filter((finding) => finding.level === level).length;
  return { v: 1, failures: count('fail'), warnings: count('warn'), findings };
}

export function formatFindings({ findings, failures, warnings }: DoctorReport, coloured: boolean): string {
  const width = Math.max(...findings.map(({ check }) => check.length));
  const lines = findings.map(({ check, level, what, fix }) => {
    const text = fix === null ? what : `${what}; fix: ${fix}`;
    return `${paint(level.padEnd(4), COLOUR[level], coloured)}  ${check.padEnd(width)}  ${clean(text)}`;
  });
  const end = failures + warnings === 0 ? 'all is well' : `${failures} to fix, ${warnings} to look at`;
  return `${lines.join('\n')}\n${end}\n`;
}
