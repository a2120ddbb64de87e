// What one measured run found; one JSON line each.
import type { LatencyMs } from "./load/histogram.ts";
import type { MachineFacts } from "./measure/machine.ts";
import type { Verb } from "./options.ts";

export interface BenchResult {
  /** Whom it is about: "quorlet", "etcd 3.5.30", a label. */
  readonly name: string;
  /** What was asked of it; the same for both sides of a comparison. */
  readonly row: string;
  readonly verb: Verb;
  /** From 0. */
  readonly round: number;
  readonly clients: number;
  readonly conns: number;
  readonly done: number;
  /** Failed calls by reason; they count in no other figure. */
  readonly errors: Readonly<Record<string, number>>;
  readonly elapsedSec: number;
  readonly perSec: number;
  readonly latencyMs: LatencyMs;
  /** Lower bound in ms and count; empty where only percentiles are known. */
  readonly buckets: readonly (readonly [number, number])[];
  /** Completed operations in each interval. */
  readonly timeline: { readonly everyMs: number; readonly counts: readonly number[] };
  /** Of all servers together; undefined when their processes are unknown. */
  readonly server: ServerFigures | undefined;
  readonly load: LoadFigures;
  /** Cores busy with anything but servers and load; undefined when the servers are unknown. */
  readonly foreignCores: number | undefined;
  readonly stealCores: number | undefined;
  /** Why a figure cannot be trusted. */
  readonly warnings: readonly string[];
  readonly options: object;
  readonly machine: MachineFacts;
}

export interface ServerFigures {
  /** CPU time for one operation, system time included. */
  readonly cpuUs: number;
  readonly systemUs: number;
  /** After the run. */
  readonly rssMiB: number;
  /** Syncs of the log, operations in a raft entry, collector time, event loop: where servers count them. */
  readonly syncs?: number;
  readonly opsPerSync?: number;
  readonly opsPerEntry?: number;
  readonly gcMs?: number;
  readonly loopDelayP99Ms?: number;
}

export interface LoadFigures {
  /** CPU time of the generators for one operation. */
  readonly cpuUs: number;
  /** Of the busiest generator: 1 is a thread that never waits. */
  readonly busy: number;
  readonly gcMs?: number;
  readonly loopDelayP99Ms?: number;
  readonly lateMsMax?: number;
}

/** What makes a figure of this run doubtful. */
export function warningsOf(
  result: Omit<BenchResult, "warnings">,
  asked: { readonly total: number; readonly rate: number },
): readonly string[] {
  const { elapsedSec, machine, foreignCores = 0, stealCores = 0, load, server, done } = result;
  const { rate } = asked;
  const { lateMsMax = 0 } = load;
  const failed = Object.values(result.errors).reduce((sum, n) => sum + n, 0);
  const serverMs = server === undefined ? Infinity : (server.cpuUs * done) / 1000;
  const rows: readonly (readonly [boolean, string])[] = [
    [failed > 0, `${failed} operations failed`],
    [elapsedSec < 1, `the run took ${elapsedSec.toFixed(2)} s: ask for more with --total`],
    [done < 20 * result.clients, "less than 20 operations for each client"],
    [foreignCores > 0.1 * machine.cores, `${foreignCores.toFixed(2)} cores were busy elsewhere`],
    [stealCores > 0.05 * machine.cores, `${stealCores.toFixed(2)} cores were taken by the host`],
    [
      load.busy > 0.85,
      `a generator was ${percent(load.busy)} busy: it was the bound, not the server`,
    ],
    [rate > 0 && result.perSec < 0.95 * rate, `the rate of ${rate} per second was not reached`],
    [
      lateMsMax > 5 && lateMsMax > result.latencyMs.p99,
      `calls left up to ${lateMsMax.toFixed(0)} ms late`,
    ],
    [serverMs < 200, `only ${serverMs.toFixed(0)} ms of server CPU, counted in steps of 10`],
  ];
  return rows.filter(([applies]) => applies).map(([, text]) => text);
}

const percent = (share: number): string => `${(share * 100).toFixed(0)} %`;
