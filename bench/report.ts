// Results as lines for people, or as one JSON line each to be kept.
import type { LatencyMs } from "./histogram.ts";
import type { MachineFacts } from "./machine.ts";
import type { BenchOptions, Verb } from "./options.ts";

export interface BenchResult {
  readonly name: string;
  readonly verb: Verb;
  readonly clients: number;
  readonly conns: number;
  readonly done: number;
  /** Failed calls by reason; they count in no other figure. */
  readonly errors: Readonly<Record<string, number>>;
  readonly elapsedSec: number;
  readonly perSec: number;
  readonly latencyMs: LatencyMs;
  /** CPU time of all servers for one operation; undefined when their processes are unknown. */
  readonly serverCpuUs: number | undefined;
  /** CPU time of the generators for one operation. */
  readonly loadCpuUs: number;
}

export function jsonLine(
  result: BenchResult,
  options: BenchOptions,
  machine: MachineFacts,
): string {
  return JSON.stringify({ ...result, options, machine });
}

export function machineLine(machine: MachineFacts): string {
  const { cpu, cores, memoryGiB, kernel, node, load, commit } = machine;
  return `${cores} × ${cpu}, ${memoryGiB} GiB, Linux ${kernel}, Node ${node}, load ${load}, commit ${commit || "unknown"}`;
}

export function textLines(result: BenchResult): readonly string[] {
  const { name, verb, clients, conns, done, elapsedSec, perSec, latencyMs, errors } = result;
  const { p50, p90, p99, p999, max } = latencyMs;
  const serverCpu =
    result.serverCpuUs === undefined ? "unknown" : `${digits(result.serverCpuUs)} µs`;
  return [
    `${name}: ${verb}, ${clients} clients on ${conns} connections`,
    `  ${Math.round(perSec)} per second (${done} in ${digits(elapsedSec)} s)`,
    `  latency in ms: p50 ${digits(p50)}, p90 ${digits(p90)}, p99 ${digits(p99)}, p99.9 ${digits(p999)}, max ${digits(max)}`,
    `  CPU per operation: servers ${serverCpu}, load ${digits(result.loadCpuUs)} µs`,
    ...Object.entries(errors).map(([why, count]) => `  failed ${count} times: ${printable(why)}`),
  ];
}

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
