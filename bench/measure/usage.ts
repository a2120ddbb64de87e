// CPU time and memory of processes, and what the machine did beside them, from /proc. Where that does
// not exist the figures are 0 and nothing is claimed.
import { readFileSync } from "node:fs";

export interface ServerUsage {
  readonly userMs: number;
  readonly systemMs: number;
  readonly rssMiB: number;
}

export interface MachineUsage {
  /** All processes together. */
  readonly busyMs: number;
  /** Taken by the hypervisor for others. */
  readonly stealMs: number;
}

/** Linux counts the CPU time of other processes in hundredths of a second. */
const msPerTick = 10;
const pageBytes = 4096;
const mebibyte = 1024 * 1024;

/** All threads of these processes. */
export function usageOf(pids: readonly number[]): ServerUsage {
  let [userMs, systemMs, rssMiB] = [0, 0, 0];
  for (const pid of pids) {
    const stat = readText(`/proc/${pid}/stat`);
    // The name in parentheses may hold spaces; user and system time are fields 14 and 15, RSS is 24.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    userMs += Number(fields[11] ?? 0) * msPerTick;
    systemMs += Number(fields[12] ?? 0) * msPerTick;
    rssMiB += (Number(fields[21] ?? 0) * pageBytes) / mebibyte;
  }
  return { userMs, systemMs, rssMiB };
}

/** Of this process, all threads. */
export function ownUsage(): ServerUsage {
  const { user, system } = process.cpuUsage();
  const rssMiB = process.memoryUsage.rss() / mebibyte;
  return { userMs: user / 1000, systemMs: system / 1000, rssMiB };
}

/** Memory of a process that is no mapped file; 0 for none. */
export function anonMiB(pid: number): number {
  if (pid === 0) return 0;
  const [, kib = "0"] = /^RssAnon:\s+(\d+)/m.exec(readText(`/proc/${pid}/status`)) ?? [];
  return Number(kib) / 1024;
}

export function machineUsage(): MachineUsage {
  const [first = ""] = readText("/proc/stat").split("\n");
  const ticks = first.trim().split(/\s+/).slice(1).map(Number);
  // user, nice, system, idle, iowait, irq, softirq, steal
  const busy = [0, 1, 2, 5, 6].reduce((sum, i) => sum + (ticks[i] ?? 0), 0);
  return { busyMs: busy * msPerTick, stealMs: (ticks[7] ?? 0) * msPerTick };
}

function readText(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
