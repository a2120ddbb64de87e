// pipeline: propose, durable on a majority, applied, answered; over member threads, without a door. The
// callers live in the leader's thread.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MessageChannel, Worker } from "node:worker_threads";
import { timelineMs } from "../load/generator.ts";
import { coarseBuckets, latencyMs } from "../load/histogram.ts";
import { machineFacts } from "../measure/machine.ts";
import { machineUsage, ownUsage } from "../measure/usage.ts";
import type { BenchOptions } from "../options.ts";
import { type BenchResult, warningsOf } from "../result.ts";
import type {
  FromPipelineThread,
  PipelineResult,
  PipelineThreadData,
  ToPipelineThread,
} from "./pipelineThread.ts";

export async function runPipeline(options: BenchOptions, round: number): Promise<BenchResult> {
  const { memory, dataDir } = options;
  const folder = memory
    ? undefined
    : (dataDir ?? mkdtempSync(join(tmpdir(), "quorlet-bench-pipeline-")));
  const members = startMembers(options.members, folder);
  try {
    await Promise.all(members.map((member) => member.heard("started")));
    joinAll(members);
    const [leader] = members;
    if (leader === undefined) throw new Error("no member");
    leader.post({ kind: "campaign" });
    await leader.heard("leader");
    if (options.warmup > 0) await loaded(leader, { ...options, total: options.warmup });
    const before = { own: ownUsage(), machine: machineUsage(), atMs: performance.now() };
    const result = await loaded(leader, options);
    return summary(options, round, result, before);
  } finally {
    await Promise.all(members.map((member) => member.stop()));
    if (folder !== undefined && dataDir === undefined) rmSync(folder, { recursive: true });
  }
}

async function loaded(leader: MemberOfPipeline, options: BenchOptions): Promise<PipelineResult> {
  const { clients, total, keySize, valSize, keySpace, seed } = options;
  leader.post({ kind: "load", load: { clients, total, keySize, valSize, keySpace, seed } });
  const message = await leader.heard("done");
  if (message.kind !== "done") throw new Error(message.kind);
  return message.result;
}

class MemberOfPipeline {
  readonly id: bigint;
  readonly #worker: Worker;
  readonly #heard: FromPipelineThread[] = [];
  #wake: () => void = () => {};
  #ended = false;

  constructor(data: PipelineThreadData) {
    this.id = data.id;
    this.#worker = new Worker(new URL("./pipelineThread.js", import.meta.url), {
      workerData: data,
    });
    this.#worker.on("message", (message: FromPipelineThread) => this.#hear(message));
    this.#worker.on("error", (error) => this.#hear({ kind: "failed", why: `${error.stack}` }));
    this.#worker.on("exit", () => {
      this.#ended = true;
      this.#wake();
    });
  }

  post(message: ToPipelineThread): void {
    const ports = message.kind === "peer" ? [message.port] : [];
    this.#worker.postMessage(message, ports);
  }

  /** @throws when the member fails before. */
  async heard(kind: FromPipelineThread["kind"]): Promise<FromPipelineThread> {
    for (;;) {
      const message = this.#heard.shift();
      if (message?.kind === kind) return message;
      if (message?.kind === "failed") throw new Error(message.why);
      if (message !== undefined) continue;
      if (this.#ended) throw new Error(`member ${this.id} ended`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async stop(): Promise<void> {
    if (this.#ended) return;
    this.post({ kind: "stop" });
    await this.heard("stopped").catch(() => undefined);
    while (!this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #hear(message: FromPipelineThread): void {
    this.#heard.push(message);
    this.#wake();
  }
}

function startMembers(count: number, folder: string | undefined): readonly MemberOfPipeline[] {
  const ids = Array.from({ length: count }, (_, i) => BigInt(i + 1));
  return ids.map(
    (id) => new MemberOfPipeline({ id, ids, folder: folder && join(folder, `m${id}`) }),
  );
}

/** A port between each two. */
function joinAll(members: readonly MemberOfPipeline[]): void {
  for (const [i, one] of members.entries()) {
    for (const two of members.slice(i + 1)) {
      const { port1, port2 } = new MessageChannel();
      one.post({ kind: "peer", peer: two.id, port: port1 });
      two.post({ kind: "peer", peer: one.id, port: port2 });
    }
  }
}

function summary(
  options: BenchOptions,
  round: number,
  found: PipelineResult,
  before: {
    own: ReturnType<typeof ownUsage>;
    machine: ReturnType<typeof machineUsage>;
    atMs: number;
  },
): BenchResult {
  const { clients, members, memory } = options;
  const after = { own: ownUsage(), machine: machineUsage(), atMs: performance.now() };
  const wallMs = after.atMs - before.atMs;
  const systemMs = after.own.systemMs - before.own.systemMs;
  const cpuMs = after.own.userMs - before.own.userMs + systemMs;
  const busyMs = after.machine.busyMs - before.machine.busyMs;
  const done = found.latencies.count;
  const result = {
    ...{ name: options.label ?? "quorlet", verb: "pipeline" as const, round, done, clients },
    row: `pipeline ${members} members${memory ? " in memory" : ""} × ${clients}`,
    conns: 0,
    errors: found.refused > 0 ? { refused: found.refused } : {},
    elapsedSec: found.elapsedMs / 1000,
    perSec: (done * 1000) / found.elapsedMs,
    latencyMs: latencyMs(found.latencies),
    buckets: coarseBuckets(found.latencies),
    timeline: { everyMs: timelineMs, counts: found.timeline },
    server: {
      cpuUs: (cpuMs * 1000) / done,
      systemUs: (systemMs * 1000) / done,
      rssMiB: after.own.rssMiB,
      opsPerEntry: done / found.entries,
    },
    // The callers are part of the leader.
    load: { cpuUs: 0, busy: 0 },
    foreignCores: Math.max(0, busyMs - cpuMs) / wallMs,
    stealCores: (after.machine.stealMs - before.machine.stealMs) / wallMs,
    ...{ options, machine: machineFacts() },
  };
  return { ...result, warnings: warningsOf(result, { total: options.total, rate: 0 }) };
}
