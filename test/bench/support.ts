// Results of the benchmark, made up.
import type { BenchResult } from "../../bench/result.ts";

const machine = {
  ...{ cpu: "some", cores: 2, memoryGiB: 4, kernel: "6", node: "v20", load: 0, commit: "" },
};

export function resultOf(changes: Partial<BenchResult> = {}): BenchResult {
  const latencyMs = { p50: 2, p90: 3, p99: 4, p999: 5, max: 6, mean: 2, stddev: 1 };
  return {
    ...{ name: "a", row: "put × 1", verb: "put", round: 0, clients: 1, conns: 1, done: 100_000 },
    ...{ errors: {}, elapsedSec: 2, perSec: 50_000, latencyMs },
    buckets: [
      [1, 10],
      [2, 30],
      [4, 5],
    ],
    timeline: { everyMs: 100, counts: [10, 20, 30] },
    server: { cpuUs: 10, systemUs: 2, rssMiB: 80 },
    load: { cpuUs: 5, busy: 0.4 },
    ...{ foreignCores: 0.01, stealCores: 0, warnings: [], options: {}, machine },
    ...changes,
  };
}
