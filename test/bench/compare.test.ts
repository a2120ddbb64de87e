// The arithmetic of the benchmark: ratios pair by pair, percentiles, verdicts, what is not to be trusted.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { verdict } from "../../bench/checkPerf.ts";
import { compareFiles } from "../../bench/compare.ts";
import {
  coarseBuckets,
  latencyMs,
  newLatencies,
  recordMs,
  sumOf,
} from "../../bench/load/histogram.ts";
import { figure } from "../../bench/measure/counters.ts";
import { comparisons, sidesOf } from "../../bench/pairs.ts";
import { htmlReport } from "../../bench/report/html.ts";
import { ratioPicture } from "../../bench/report/picture.ts";
import { warningsOf } from "../../bench/result.ts";
import { resultOf } from "./support.ts";

test("a ratio is the median of the pairs' ratios, and unknown where a figure is missing", () => {
  const first = [30, 1000, 20].map((perSec) => resultOf({ name: "a", perSec }));
  const second = [10, 5, 20].map((perSec, i) =>
    resultOf({ name: "b", perSec, ...(i === 1 && { server: undefined }) }),
  );
  const [row] = comparisons(first, second);
  assert.deepEqual(row?.perSec, { median: 3, min: 1, max: 200 });
  assert.equal(row?.cpu, undefined, "one run does not know its servers");
  assert.equal(row?.first.perSec, 30);
  assert.deepEqual(
    sidesOf([...first, ...second]).map((side) => side.length),
    [3, 3],
  );
});

test("latencies of several generators add up to percentiles in milliseconds", () => {
  const parts = [0, 1].map((part) => {
    const latencies = newLatencies();
    for (let ms = 1; ms <= 500; ms++) recordMs(latencies, ms + part * 500);
    return latencies;
  });
  const sum = sumOf(parts);
  const { p50, p99, max, mean, stddev } = latencyMs(sum);
  const rows = [
    { got: p50, want: 500 },
    { got: p99, want: 990 },
    { got: max, want: 1000 },
    { got: mean, want: 500.5 },
    { got: stddev, want: 288.7 },
  ];
  for (const { got, want } of rows) {
    assert.ok(Math.abs(got - want) <= want / 500, `${got} is close to ${want}`);
  }
  const drawn = coarseBuckets(sum).reduce((count, [, n]) => count + n, 0);
  assert.equal(drawn, 1000, "nothing is lost to the drawing");
  assert.deepEqual(latencyMs(newLatencies()).p99, 0);
});

test("a result says why it is not to be trusted", () => {
  const rows = [
    { change: {}, why: undefined },
    { change: { errors: { gone: 3 } }, why: /3 operations failed/ },
    { change: { elapsedSec: 0.5 }, why: /took 0.50 s/ },
    { change: { foreignCores: 0.4 }, why: /0.40 cores were busy elsewhere/ },
    { change: { stealCores: 0.3 }, why: /taken by the host/ },
    { change: { load: { cpuUs: 9, busy: 0.95 } }, why: /95 % busy/ },
    { change: { load: { cpuUs: 9, busy: 0, lateMsMax: 30 } }, why: /30 ms late/ },
    { change: { perSec: 10 }, rate: 20, why: /rate of 20 per second/ },
    { change: { server: { cpuUs: 1, systemUs: 0, rssMiB: 1 } }, why: /only 100 ms of server/ },
  ];
  for (const { change, rate = 0, why } of rows) {
    const warnings = warningsOf(resultOf(change), { total: 1, rate });
    if (why === undefined) assert.deepEqual(warnings, []);
    else assert.match(warnings.join(), why);
  }
});

test("files of JSON lines are compared row by row; anything else is refused with its line", () => {
  const folder = mkdtempSync(join(tmpdir(), "quorlet-compare-"));
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  try {
    const one = file("a", `${JSON.stringify(resultOf({ perSec: 30 }))}\n`);
    const two = file("b", `${JSON.stringify(resultOf({ name: "b", perSec: 10 }))}\n`);
    assert.match(compareFiles(one, two).join("\n"), /put × 1 +30 +10 +3\.00×/);
    assert.throws(() => compareFiles(one, file("c", `\n{"name":"x"}\n`)), /c:2 is no result/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("check perf judges as etcdctl does", () => {
  const latency = { p50: 1, p90: 1, p99: 1, p999: 1, max: 80, mean: 1, stddev: 4 };
  const rows = [
    {
      ...{ perSec: 149.2, latencyMs: latency, errors: {} },
      want: "PASS: Throughput is 150 writes/s|PASS: Slowest request took 0.080000s|PASS: Stddev is 0.004000s|PASS",
    },
    {
      ...{ perSec: 99, latencyMs: { ...latency, max: 600, stddev: 150 }, errors: { gone: 2 } },
      want: "FAIL: too many errors|FAIL: ERROR(gone) -> 2|FAIL: Throughput too low: 100 writes/s|Slowest request took too long: 0.600000s|Stddev too high: 0.150000s|FAIL",
    },
  ];
  for (const { want, ...result } of rows) assert.equal(verdict(result, 150).join("|"), want);
});

test("a metric is summed over its labels and not mistaken for one that begins like it", () => {
  const page = 'a_count{x="1"} 2\na_count{x="2"} 3\na_count_total 9\nb 1.5e3\n';
  assert.equal(figure(page, "a_count"), 5);
  assert.equal(figure(page, "b"), 1500);
  assert.equal(figure(page, "c"), undefined);
});

test("the page holds every row, needs nothing else and shows no text as markup", () => {
  const results = [resultOf({ name: "<b>" }), resultOf({ name: "etcd" })];
  const page = htmlReport(results, "bench put --label <b>");
  assert.equal(page.match(/<svg /g)?.length, 3);
  assert.doesNotMatch(page, /<b>|NaN|Infinity|undefined/);
  assert.doesNotMatch(page, /src=|href=/);
});

test("the picture draws each shared row with its ratio, and wants two sides", () => {
  const ours = resultOf({ name: "<b>", perSec: 300 });
  const picture = ratioPicture([ours, resultOf({ name: "etcd", perSec: 100 })]);
  assert.match(picture, />3\.\d*×<\/text>/);
  assert.equal(picture.match(/<rect x=/g)?.length, 1);
  assert.doesNotMatch(picture, /<b>|NaN|Infinity|undefined|var\(--(?!ink)/);
  assert.throws(() => ratioPicture([ours]), /two sides/);
});
