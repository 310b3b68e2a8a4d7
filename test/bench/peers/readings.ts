/** Numbers out of what ping(8) prints and what the kernel says in /proc. Pure: text in, numbers out. */

export interface PingSummary {
  readonly averageUs: number | null;
  readonly lossPercent: number;
}

/** The last lines of `ping -q`. @throws Error if it is no such text */
export function parsePing(output: string): PingSummary {
  const loss = /([\d.]+)% packet loss/.exec(output)?.[1];
  if (loss === undefined) throw new Error(`ping: ${output.trim() || 'said nothing'}`);
  const average = /= [\d.]+\/([\d.]+)\//.exec(output)?.[1];
  return { averageUs: average === undefined ? null : Number(average) * 1000, lossPercent: Number(loss) };
}

/** User and system time of a process in ticks: fields 14 and 15 of /proc/PID/stat, counted behind the name (proc(5)). */
export function parseProcessTicks(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
}

/** Resident memory out of /proc/PID/status, MB of 1,048,576 bytes; 0 for a process that has ended. */
export function parseResidentMb(status: string): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024;
}

export interface MachineTicks {
  /** Neither idle nor waiting nor stolen. */
  readonly busy: number;
  readonly steal: number;
}

/** First line of /proc/stat: user nice system idle iowait irq softirq steal (proc(5)). */
export function parseMachineTicks(stat: string): MachineTicks {
  const line = stat.split('\n', 1)[0] ?? '';
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return { busy: user + nice + system + irq + softirq, steal };
}
