// Piscina task: one load generator with its own connections and histogram. It holds sockets, so its
// pool runs with atomics "disabled", and it closes them before the task returns.
import { readFileSync } from "node:fs";
import type { RecordableHistogram } from "node:perf_hooks";
import { GrpcConnection } from "../bench/grpcConnection.ts";
import { latencyHistogram, recordMs } from "../bench/histogram.ts";
import type { Verb } from "../bench/options.ts";
import { scenarioOf } from "../bench/scenarios/byVerb.ts";
import { KeyPicker, type Scenario, type ScenarioOptions } from "../bench/scenarios/scenario.ts";
import { Prng } from "../src/base/prng.ts";

export interface LoadTask {
  readonly verb: Verb;
  readonly scenario: ScenarioOptions;
  /** Connection i goes to endpoint i, from the start again after the last. */
  readonly endpoints: readonly string[];
  readonly conns: number;
  readonly clients: number;
  readonly total: number;
  /** Of the key order; undefined: all keys in order, from `firstKey`. */
  readonly seed: number | undefined;
  readonly firstKey: number;
}

export interface LoadResult {
  readonly histogram: RecordableHistogram;
  readonly doneCount: number;
  /** Failed calls by reason. */
  readonly errors: ReadonlyMap<string, number>;
  readonly elapsedMs: number;
  /** CPU time of this thread while the load ran. */
  readonly cpuMs: number;
}

export async function generateLoad(task: LoadTask): Promise<LoadResult> {
  const count = Math.min(task.conns, task.clients);
  const endpoints = Array.from(
    { length: count },
    (_, i) => task.endpoints[i % task.endpoints.length] ?? "",
  );
  const connections = await Promise.all(endpoints.map((e) => GrpcConnection.open(e)));
  try {
    return await new Generator(task).run(connections);
  } finally {
    for (const connection of connections) connection.close();
  }
}

/** Reasons kept apart; what comes later counts as "other". */
const errorKindsMax = 20;

class Generator {
  readonly #task: LoadTask;
  readonly #scenario: Scenario;
  readonly #histogram = latencyHistogram();
  readonly #errors = new Map<string, number>();
  #startedCount = 0;
  /** Clients that still call; one ends when all calls are made, or its connection is gone. */
  #activeCount = 0;
  #onEnd: (() => void) | undefined;

  constructor(task: LoadTask) {
    this.#task = task;
    const random = task.seed === undefined ? {} : { random: new Prng(task.seed) };
    const { keySpace } = task.scenario;
    const keys = new KeyPicker({ keySpace, first: task.firstKey, ...random });
    this.#scenario = scenarioOf(task.verb, task.scenario, keys);
  }

  async run(connections: readonly GrpcConnection[]): Promise<LoadResult> {
    const cpuBeforeMs = threadCpuMs();
    const startedMs = performance.now();
    await new Promise<void>((resolve) => {
      this.#onEnd = resolve;
      const { clients } = this.#task;
      this.#activeCount = clients;
      for (let i = 0; i < clients; i++) this.#call(connections[i % connections.length]);
      for (const connection of connections) connection.flush();
    });
    return {
      histogram: this.#histogram,
      doneCount: this.#histogram.count,
      errors: this.#errors,
      elapsedMs: performance.now() - startedMs,
      cpuMs: threadCpuMs() - cpuBeforeMs,
    };
  }

  #call(connection: GrpcConnection | undefined): void {
    if (connection === undefined || this.#startedCount >= this.#task.total || connection.isGone) {
      if (--this.#activeCount === 0) this.#onEnd?.();
      return;
    }
    this.#startedCount++;
    const { path, message } = this.#scenario.next();
    const startedMs = performance.now();
    connection.call(path, message, (reply, why) => {
      if (reply) recordMs(this.#histogram, performance.now() - startedMs);
      else this.#onError(why);
      this.#call(connection);
    });
  }

  #onError(why: string): void {
    const known = this.#errors.has(why) || this.#errors.size < errorKindsMax;
    const kind = known ? why : "other";
    this.#errors.set(kind, (this.#errors.get(kind) ?? 0) + 1);
  }
}

/** Linux counts the run time of each thread in nanoseconds; elsewhere it is not known. */
function threadCpuMs(): number {
  try {
    return Number(readFileSync("/proc/thread-self/schedstat", "latin1").split(" ")[0]) / 1e6;
  } catch {
    return 0;
  }
}
