// The arithmetic of the benchmark: medians, ratios, percentiles.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ratioLine } from "../../bench/compare.ts";
import { latencyHistogram, latencyMs, recordMs, sumOf } from "../../bench/histogram.ts";
import type { BenchResult } from "../../bench/report.ts";

function result(name: string, perSec: number, serverCpuUs: number | undefined): BenchResult {
  const latency = { p50: 2, p90: 3, p99: 4, p999: 5, max: 6, mean: 2 };
  const rest = { clients: 1, conns: 1, done: 1, errors: {}, elapsedSec: 1, loadCpuUs: 1 };
  return { name, verb: "put", perSec, latencyMs: latency, serverCpuUs, ...rest };
}

test("the ratio is one of medians, and unknown where a figure is missing", () => {
  const first = [result("a", 30, 10), result("a", 1000, 10), result("a", 20, 10)];
  const second = [result("b", 10, 20), result("b", 5, undefined), result("b", 12, 20)];
  assert.equal(
    ratioLine({ first, second }),
    "a to b, medians of 3: per second 3.00, p50 1.00, p99 1.00, server CPU per operation unknown",
  );
});

test("latencies of several generators add up to percentiles in milliseconds", () => {
  const parts = [0, 1].map((part) => {
    const histogram = latencyHistogram();
    for (let ms = 1; ms <= 500; ms++) recordMs(histogram, ms + part * 500);
    return histogram;
  });
  const { p50, p99, max } = latencyMs(sumOf(parts));
  for (const [got, want] of [
    [p50, 500],
    [p99, 990],
    [max, 1000],
  ] as const) {
    assert.ok(Math.abs(got - want) <= want / 500, `${got} is close to ${want}`);
  }
});
