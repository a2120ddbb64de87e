// Latencies in nanoseconds: recorded by each generator, added up, read as milliseconds.
import { createHistogram, type RecordableHistogram } from "node:perf_hooks";

export interface LatencyMs {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  readonly mean: number;
}

/** Three digits, up to ten minutes. */
export function latencyHistogram(): RecordableHistogram {
  return createHistogram({ lowest: 1, highest: 600_000_000_000, figures: 3 });
}

/** @param elapsedMs as two readings of performance.now() give it. */
export function recordMs(histogram: RecordableHistogram, elapsedMs: number): void {
  histogram.record(Math.max(1, Math.round(elapsedMs * 1e6)));
}

export function sumOf(histograms: readonly RecordableHistogram[]): RecordableHistogram {
  const sum = latencyHistogram();
  for (const histogram of histograms) sum.add(histogram);
  return sum;
}

export function latencyMs(histogram: RecordableHistogram): LatencyMs {
  const at = (percentile: number) => histogram.percentile(percentile) / 1e6;
  return {
    p50: at(50),
    p90: at(90),
    p99: at(99),
    p999: at(99.9),
    max: histogram.max / 1e6,
    mean: histogram.mean / 1e6,
  };
}
