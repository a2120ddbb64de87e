// The stock Go client as load: a generator built from etcd's own client package, run as a process. It is
// not part of this project; --go-client or $QUORLET_GO_CLIENT says where it is.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { machineFacts } from "../measure/machine.ts";
import type { BenchOptions, LoadVerb } from "../options.ts";
import { type BenchResult, warningsOf } from "../result.ts";
import { rowName } from "../rows.ts";
import type { RunPlan } from "../run.ts";

const run = promisify(execFile);
const runMsMax = 600_000;

export async function runGoClient(plan: RunPlan): Promise<BenchResult> {
  const { verb, options, target, round } = plan;
  const { goClient, clients, conns } = options;
  if (goClient === undefined) {
    throw new Error("--client go needs --go-client PATH or QUORLET_GO_CLIENT");
  }
  const where = ["-endpoints", target.endpoints.join(","), "-json"];
  if (!plan.isFilled) {
    const fill = ["-mode", "range", "-prefill", "-clients", "1", "-total", "10"];
    await run(goClient, [...where, ...shapeOf(options), ...fill], { timeout: runMsMax });
  }
  const pids = target.pids.length > 0 ? ["-pids", target.pids.join(",")] : [];
  const flags = [...where, ...pids, ...shapeOf(options), ...loadOf(verb, options)];
  const { stdout } = await run(goClient, flags, { timeout: runMsMax });
  const figures = figuresOf(stdout);
  const of = (name: string): number => figures[name] ?? 0;
  const done = of("ops") - (verb.startsWith("watch") ? 0 : of("errors"));
  const load = {
    cpuUs: of("client_cpu_per_100k") * 10,
    // All its threads; it has as many as there are cores.
    busy: (of("client_cpu_per_100k") * of("qps")) / 1e5 / machineFacts().cores,
  };
  const result = {
    ...{ name: target.name, row: rowName(verb, options), verb, round, clients, conns, done, load },
    errors: of("errors") > 0 ? { failed: of("errors") } : {},
    elapsedSec: of("secs"),
    perSec: of("qps"),
    latencyMs: {
      ...{ p50: of("p50_ms"), p90: of("p90_ms"), p99: of("p99_ms") },
      ...{ p999: of("p999_ms"), max: of("max_ms"), mean: of("avg_ms"), stddev: 0 },
    },
    buckets: [],
    timeline: { everyMs: 0, counts: [] },
    server:
      target.pids.length === 0
        ? undefined
        : {
            cpuUs: of("server_cpu_per_100k") * 10,
            systemUs: of("server_sys_per_100k") * 10,
            rssMiB: of("server_rss_mb"),
          },
    foreignCores: target.pids.length === 0 ? undefined : Math.max(0, of("other_cores")),
    stealCores: of("steal_cores"),
    ...{ options, machine: machineFacts() },
  };
  return { ...result, warnings: warningsOf(result, options) };
}

const modes: Readonly<Partial<Record<LoadVerb, string>>> = {
  put: "put",
  range: "range",
  "txn-put": "txn-put",
  mixed: "mixed",
  watch: "watch",
  "watch-latency": "watch",
  "lease-keepalive": "lease",
};

function loadOf(verb: LoadVerb, options: BenchOptions): readonly string[] {
  const mode = modes[verb];
  if (mode === undefined) throw new Error(`the Go client has no ${verb}`);
  const { compare, prefix, limit, serializable, reads, watchers, streams } = options;
  const special = verb === "txn-put" && compare ? "txn-cas" : prefix ? "prefix" : mode;
  const { clients, conns, total, rate, warmup, txnOps } = options;
  return [
    ...["-mode", special, "-clients", `${clients}`, "-conns", `${conns}`, "-total", `${total}`],
    ...["-rate", `${rate}`, "-warmup", `${warmup}`, "-txn-ops", `${txnOps}`, "-rw", `${reads}`],
    ...["-watchers", `${watchers}`, "-watch-streams", `${streams > 1 ? streams : 0}`],
    ...(prefix ? ["-limit", `${limit}`] : []),
    ...(serializable ? ["-serializable"] : []),
    ...(options.sequential ? ["-sequential"] : []),
  ];
}

function shapeOf({ keySize, valSize, keySpace }: BenchOptions): readonly string[] {
  return ["-key-size", `${keySize}`, "-val-size", `${valSize}`, "-key-space", `${keySpace}`];
}

function figuresOf(stdout: string): Readonly<Record<string, number>> {
  const parsed: unknown = JSON.parse(stdout);
  const figures: Record<string, number> = {};
  for (const [name, value] of Object.entries(parsed ?? {})) {
    if (typeof value === "number") figures[name] = value;
  }
  return figures;
}
