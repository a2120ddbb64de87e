// What boards read of Go's runtime, told of Node's where it means the same: memory of this member's heap,
// pauses of its collector, threads of the process.
import { readFileSync } from "node:fs";
import { type PerformanceEntry, PerformanceObserver } from "node:perf_hooks";
import { getHeapStatistics } from "node:v8";
import type { MetricsText } from "./text.ts";

/** Pauses that are remembered for the quantiles. */
const pausesMax = 512;
const quantiles = [0, 0.25, 0.5, 0.75, 1];

export class Runtime {
  readonly #observer: PerformanceObserver;
  readonly #pausesSec: number[] = [];
  #pauseCount = 0;
  #pauseSumSec = 0;
  #lastSec = 0;

  constructor() {
    this.#observer = new PerformanceObserver((list) => this.#onEntries(list.getEntries()));
    this.#observer.observe({ entryTypes: ["gc"] });
  }

  close(): void {
    this.#observer.disconnect();
  }

  write(text: MetricsText): void {
    const heap = getHeapStatistics();
    text.family("go_info", "gauge", "The runtime: Node, not Go.");
    text.sample("go_info", [["version", `node${process.version}`]], 1);
    text.family("etcd_server_go_version", "gauge", "The runtime: Node, not Go.");
    text.sample("etcd_server_go_version", [["server_go_version", `node${process.version}`]], 1);
    text.gauge("go_goroutines", "Handles and requests that keep the event loop.", activeCount());
    text.gauge("go_threads", "Threads of the process.", threadCount());
    const memory: readonly (readonly [name: string, bytes: number])[] = [
      ["alloc", heap.used_heap_size + heap.external_memory],
      ["heap_alloc", heap.used_heap_size],
      ["heap_inuse", heap.total_physical_size],
      ["heap_idle", Math.max(0, heap.total_heap_size - heap.used_heap_size)],
      ["heap_sys", heap.total_heap_size],
      ["sys", heap.total_heap_size + heap.external_memory],
      ["next_gc", heap.heap_size_limit],
    ];
    for (const [name, bytes] of memory) {
      text.gauge(`go_memstats_${name}_bytes`, "Of this member's thread.", bytes);
    }
    text.gauge("go_memstats_last_gc_time_seconds", "Unix time.", this.#lastSec);
    this.#writePauses(text);
  }

  #writePauses(text: MetricsText): void {
    const name = "go_gc_duration_seconds";
    const sorted = this.#pausesSec.toSorted((a, b) => a - b);
    text.family(name, "summary", "Pauses of the collector, of the last 512.");
    for (const quantile of quantiles) {
      const pauseSec = sorted[Math.floor(quantile * (sorted.length - 1))] ?? 0;
      text.sample(name, [["quantile", `${quantile}`]], pauseSec);
    }
    text.sample(`${name}_sum`, [], this.#pauseSumSec);
    text.sample(`${name}_count`, [], this.#pauseCount);
  }

  #onEntries(entries: readonly PerformanceEntry[]): void {
    for (const { duration } of entries) {
      const pauseSec = duration / 1000;
      this.#pausesSec[this.#pauseCount % pausesMax] = pauseSec;
      this.#pauseCount++;
      this.#pauseSumSec += pauseSec;
    }
    this.#lastSec = Date.now() / 1000;
  }
}

function activeCount(): number {
  return process.getActiveResourcesInfo().length;
}

function threadCount(): number {
  try {
    const status = readFileSync("/proc/self/status", "latin1");
    return Number(/^Threads:\s+(\d+)$/m.exec(status)?.[1] ?? 0);
  } catch {
    return 0;
  }
}
