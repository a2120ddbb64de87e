// The process as the system sees it: one look at /proc per scrape. Without /proc, nothing.
import { readdirSync, readFileSync } from "node:fs";
import type { MetricsText } from "./text.ts";

/** Of Linux, on every platform that Node runs on. */
const ticksPerSec = 100;
const pageBytes = 4096;

export interface ProcessNumbers {
  readonly cpuSec: number;
  readonly residentBytes: number;
  readonly virtualBytes: number;
  readonly startSec: number;
  readonly openFds: number;
  readonly maxFds: number;
  /** -1: no bound. */
  readonly addressMax: number;
  /** Bytes of all interfaces of the host, or of its container. */
  readonly networkIn: number;
  readonly networkOut: number;
}

export function readProcess(): ProcessNumbers | undefined {
  try {
    const stat = readFileSync("/proc/self/stat", "latin1");
    // The name in brackets may hold anything.
    const fields = stat
      .slice(stat.lastIndexOf(")") + 2)
      .split(" ")
      .map(Number);
    const [userTicks = 0, systemTicks = 0] = fields.slice(11);
    const [startTicks = 0, virtualBytes = 0, pages = 0] = fields.slice(19);
    return {
      cpuSec: (userTicks + systemTicks) / ticksPerSec,
      residentBytes: pages * pageBytes,
      virtualBytes,
      startSec: bootSec() + startTicks / ticksPerSec,
      openFds: readdirSync("/proc/self/fd").length,
      maxFds: limitOf("Max open files") ?? 0,
      addressMax: limitOf("Max address space") ?? -1,
      ...network(),
    };
  } catch {
    return undefined;
  }
}

export function writeProcess(text: MetricsText, numbers: ProcessNumbers | undefined): void {
  if (numbers === undefined) return;
  const { cpuSec, residentBytes, virtualBytes, startSec, openFds, maxFds: fdsMax } = numbers;
  text.counter("process_cpu_seconds_total", "CPU time of the process, all threads.", cpuSec);
  text.gauge("process_resident_memory_bytes", "Memory in use.", residentBytes);
  text.gauge("process_virtual_memory_bytes", "Address space in use.", virtualBytes);
  const addressMax = "process_virtual_memory_max_bytes";
  text.gauge(addressMax, "Most address space that may be used; -1: no bound.", numbers.addressMax);
  const network = "process_network";
  text.counter(`${network}_receive_bytes_total`, "Bytes of all interfaces.", numbers.networkIn);
  text.counter(`${network}_transmit_bytes_total`, "Bytes of all interfaces.", numbers.networkOut);
  text.gauge("process_start_time_seconds", "Start of the process, Unix time.", startSec);
  text.gauge("process_open_fds", "Open file descriptors.", openFds);
  text.gauge("process_max_fds", "Most file descriptors that may be open.", fdsMax);
  text.gauge("os_fd_used", "Open file descriptors.", openFds);
  text.gauge("os_fd_limit", "Most file descriptors that may be open.", fdsMax);
}

function bootSec(): number {
  const line = /^btime (\d+)$/m.exec(readFileSync("/proc/stat", "latin1"));
  return Number(line?.[1] ?? 0);
}

/** Undefined: no limit. */
function limitOf(name: string): number | undefined {
  const limits = readFileSync("/proc/self/limits", "latin1").split("\n");
  const line = limits.find((each) => each.startsWith(name)) ?? "";
  const limit = Number(line.slice(name.length).trim().split(/\s+/)[0]);
  return Number.isNaN(limit) ? undefined : limit;
}

function network(): { readonly networkIn: number; readonly networkOut: number } {
  let [networkIn, networkOut] = [0, 0];
  for (const line of readFileSync("/proc/self/net/dev", "latin1").split("\n").slice(2)) {
    const [, counts = ""] = line.split(":");
    const fields = counts.trim().split(/\s+/).map(Number);
    networkIn += fields[0] ?? 0;
    networkOut += fields[8] ?? 0;
  }
  return { networkIn, networkOut };
}
