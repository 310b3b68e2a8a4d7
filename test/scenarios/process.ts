/** What the kernel says of a process, for the scenarios that look for leaks. */
import { readdirSync, readFileSync } from 'node:fs';

/** Resident memory in KiB. */
export const rssKb = (pid: number | null): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
/** Open descriptors. */
export const fdCount = (pid: number | null): number => readdirSync(`/proc/${pid}/fd`).length;
