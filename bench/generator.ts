// One load generator: callers in a closed loop, each waiting for its answer before it calls again.
import { readFileSync } from "node:fs";
import type { RecordableHistogram } from "node:perf_hooks";
import { Prng } from "../src/base/prng.ts";
import { latencyHistogram, recordMs } from "./histogram.ts";
import type { Verb } from "./options.ts";
import { scenarioOf } from "./scenarios/byVerb.ts";
import { KeyPicker, type Scenario, type ScenarioOptions } from "./scenarios/scenario.ts";

/** `reply` is valid only within the call; undefined: refused, reset or cut off, as `why` says. */
export type OnReply = (reply: Uint8Array | undefined, why: string) => void;

/** Something that carries calls: a connection, or ports to the members. */
export interface Caller {
  /** True once nothing can be called any more. */
  readonly isGone: boolean;
  /** Queues a call; it leaves at the next flush, or by itself within a reply's callback. */
  call(path: string, message: Uint8Array, onReply: OnReply): void;
  flush(): void;
  close(): void;
}

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

/** Runs the task over callers that are open; client i uses caller i, from the start again. */
export function runLoad(task: LoadTask, callers: readonly Caller[]): Promise<LoadResult> {
  return new Generator(task).run(callers);
}

/** Reasons kept apart; what comes later counts as "other". */
const errorKindsMax = 20;

class Generator {
  readonly #task: LoadTask;
  readonly #scenario: Scenario;
  readonly #histogram = latencyHistogram();
  readonly #errors = new Map<string, number>();
  #startedCount = 0;
  /** Clients that still call; one ends when all calls are made, or its caller is gone. */
  #activeCount = 0;
  #onEnd: (() => void) | undefined;

  constructor(task: LoadTask) {
    this.#task = task;
    const random = task.seed === undefined ? {} : { random: new Prng(task.seed) };
    const { keySpace } = task.scenario;
    const keys = new KeyPicker({ keySpace, first: task.firstKey, ...random });
    this.#scenario = scenarioOf(task.verb, task.scenario, keys);
  }

  async run(callers: readonly Caller[]): Promise<LoadResult> {
    const cpuBeforeMs = threadCpuMs();
    const startedMs = performance.now();
    await new Promise<void>((resolve) => {
      this.#onEnd = resolve;
      const { clients } = this.#task;
      this.#activeCount = clients;
      for (let i = 0; i < clients; i++) this.#call(callers[i % callers.length]);
      for (const caller of callers) caller.flush();
    });
    return {
      histogram: this.#histogram,
      doneCount: this.#histogram.count,
      errors: this.#errors,
      elapsedMs: performance.now() - startedMs,
      cpuMs: threadCpuMs() - cpuBeforeMs,
    };
  }

  #call(caller: Caller | undefined): void {
    if (caller === undefined || this.#startedCount >= this.#task.total || caller.isGone) {
      if (--this.#activeCount === 0) this.#onEnd?.();
      return;
    }
    this.#startedCount++;
    const { path, message } = this.#scenario.next();
    const startedMs = performance.now();
    caller.call(path, message, (reply, why) => {
      if (reply) recordMs(this.#histogram, performance.now() - startedMs);
      else this.#onError(why);
      this.#call(caller);
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
