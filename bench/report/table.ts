// Results for people: a few lines for each run, and a table of two sides.
import type { MachineFacts } from "../measure/machine.ts";
import type { RowComparison, Spread } from "../pairs.ts";
import type { BenchResult } from "../result.ts";

export function machineLine(machine: MachineFacts): string {
  const { cpu, cores, memoryGiB, kernel, node, load, commit } = machine;
  return `${cores} × ${cpu}, ${memoryGiB} GiB, Linux ${kernel}, Node ${node}, load ${load}, commit ${commit || "unknown"}`;
}

export function textLines(result: BenchResult): readonly string[] {
  const { name, row, conns, done, elapsedSec, perSec, latencyMs, errors } = result;
  const { p50, p90, p99, p999, max } = latencyMs;
  const over = conns > 0 ? ` on ${conns} connections` : "";
  return [
    `${name}: ${row}${over}`,
    `  ${Math.round(perSec)} per second (${done} in ${digits(elapsedSec)} s)`,
    `  latency in ms: p50 ${digits(p50)}, p90 ${digits(p90)}, p99 ${digits(p99)}, p99.9 ${digits(p999)}, max ${digits(max)}`,
    `  ${costLine(result)}`,
    ...countedLines(result),
    ...Object.entries(errors).map(([why, count]) => `  failed ${count} times: ${printable(why)}`),
    ...result.warnings.map((why) => `  do not trust: ${why}`),
  ];
}

function costLine({ server, load, foreignCores }: BenchResult): string {
  const servers =
    server === undefined
      ? "servers unknown"
      : `servers ${digits(server.cpuUs)} µs (${digits(server.systemUs)} system)`;
  const rss = server === undefined ? "" : `; RSS ${server.rssMiB.toFixed(0)} MiB`;
  const elsewhere =
    foreignCores === undefined ? "" : `; ${foreignCores.toFixed(2)} cores busy elsewhere`;
  return `CPU per operation: ${servers}, load ${digits(load.cpuUs)} µs${rss}${elsewhere}`;
}

function countedLines({ server, load }: BenchResult): readonly string[] {
  const parts = [
    ...part("operations a sync", server?.opsPerSync),
    ...part("operations an entry", server?.opsPerEntry),
    ...part("ms of server GC", server?.gcMs),
    ...part("ms p99 event loop of servers", server?.loopDelayP99Ms),
    ...part("ms of load GC", load.gcMs),
    ...part("ms p99 event loop of load", load.loopDelayP99Ms),
  ];
  return parts.length === 0 ? [] : [`  ${parts.join(", ")}`];
}

function part(what: string, value: number | undefined): readonly string[] {
  return value === undefined ? [] : [`${digits(value)} ${what}`];
}

/** Median of the pairs' ratios, with the smallest and the largest. */
export function comparisonLines(rows: readonly RowComparison[]): readonly string[] {
  const [first] = rows;
  if (first === undefined) return ["no row is on both sides"];
  const head = [
    ...["", first.first.name, first.second.name, "per second", "p50", "p99"],
    ...["CPU µs", "", "CPU", "RSS", "pairs", "doubtful"],
  ];
  const body = rows.map((row) => [
    row.row,
    whole(row.first.perSec),
    whole(row.second.perSec),
    spreadText(row.perSec),
    spreadText(row.p50),
    spreadText(row.p99),
    short(row.first.cpuUs),
    short(row.second.cpuUs),
    spreadText(row.cpu),
    spreadText(row.rss),
    `${row.pairs}`,
    `${row.warnings}`,
  ]);
  return columns([head, ...body]);
}

export function columns(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((r) => r[at]?.length ?? 0)));
  return rows.map((cells) =>
    cells
      .map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}

export function spreadText(spread: Spread | undefined): string {
  if (spread === undefined) return "unknown";
  const { median, min, max } = spread;
  return min === max ? `${digits(median)}×` : `${digits(median)}× (${digits(min)}-${digits(max)})`;
}

const whole = (value: number | undefined): string => (value === undefined ? "" : value.toFixed(0));
const short = (value: number | undefined): string => (value === undefined ? "" : digits(value));

/** Three figures that matter. */
export function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** Trailers come as they are on the wire, some of them compressed. */
function printable(text: string): string {
  return (
    text
      .replace(/[^\x20-\x7e]+/g, " ")
      .trim()
      .slice(0, 200) || "no reason readable"
  );
}
