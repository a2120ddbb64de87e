// One load generator. Closed loop: callers that wait for their answer before they call again. Open loop:
// calls are due at a fixed rate, and one that no caller was free for waits from then on.
import { readFileSync } from "node:fs";
import { monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks";
import { Prng } from "../../src/base/prng.ts";
import type { LoadVerb, ScenarioOptions } from "../options.ts";
import type { Caller } from "./caller.ts";
import { type Latencies, newLatencies, recordMs } from "./histogram.ts";
import { scenarioOf } from "./scenarios/byVerb.ts";
import { KeyPicker } from "./scenarios/keys.ts";
import type { Recorder, Scenario } from "./scenarios/scenario.ts";

export interface LoadTask {
  readonly verb: LoadVerb;
  readonly scenario: ScenarioOptions;
  /** Connection i goes to endpoint i, from the start again after the last. */
  readonly endpoints: readonly string[];
  readonly conns: number;
  /** "ws": WebSockets, otherwise gRPC. */
  readonly client: "node" | "ws" | "go";
  readonly clients: number;
  readonly total: number;
  /** Of this generator; 0: closed loop. */
  readonly ratePerSec: number;
  /** Of the key order; undefined: all keys in order, from `firstKey`. */
  readonly seed: number | undefined;
  readonly firstKey: number;
  /** Number of this generator. */
  readonly generator: number;
  /** Where the main thread looks how far each generator is; Int32 by generator. */
  readonly progress: SharedArrayBuffer;
}

export interface LoadResult {
  readonly latencies: Latencies;
  /** Completed in each `timelineMs` since the start. */
  readonly timeline: readonly number[];
  readonly startedAtMs: number;
  /** Failed calls by reason. */
  readonly errors: ReadonlyMap<string, number>;
  readonly elapsedMs: number;
  readonly usage: LoadUsage;
}

/** What the generator itself cost and how it kept up. */
export interface LoadUsage {
  /** CPU time of this thread while the load ran. */
  readonly cpuMs: number;
  readonly gcMs: number;
  readonly loopDelayP99Ms: number;
  /** Open loop: how late calls left although a caller was free, at worst. */
  readonly lateMsMax: number;
}

export const timelineMs = 100;
/** Reasons kept apart; what comes later counts as "other". */
const errorKindsMax = 20;

/** Runs the task over callers that are open; client i uses caller i, from the start again. */
export function runLoad(task: LoadTask, callers: readonly Caller[]): Promise<LoadResult> {
  return new Generator(task, callers).run();
}

class Generator implements Recorder {
  readonly #task: LoadTask;
  readonly #callers: readonly Caller[];
  readonly #scenario: Scenario;
  readonly #latencies = newLatencies();
  readonly #timeline: number[] = [];
  readonly #errors = new Map<string, number>();
  readonly #progress: Int32Array;
  readonly #clients: readonly Client[];
  readonly #idle: Client[] = [];
  #startedMs = 0;
  #startedCount = 0;
  /** Clients that still call; one ends when all calls are made, or its caller is gone. */
  #activeCount: number;
  #lateMsMax = 0;
  #timer: NodeJS.Timeout | undefined;
  #onEnd: (() => void) | undefined;

  constructor(task: LoadTask, callers: readonly Caller[]) {
    this.#task = task;
    this.#callers = callers;
    this.#progress = new Int32Array(task.progress);
    const random = task.seed === undefined ? {} : { random: new Prng(task.seed) };
    const { keySpace } = task.scenario;
    const keys = new KeyPicker({ keySpace, first: task.firstKey, ...random });
    this.#scenario = scenarioOf({ task, keys, recorder: this });
    this.#activeCount = task.clients;
    const [first] = callers;
    if (first === undefined) throw new Error("no connection");
    this.#clients = Array.from({ length: task.clients }, (_, i) =>
      this.#client(i, callers[i % callers.length] ?? first),
    );
  }

  async run(): Promise<LoadResult> {
    await this.#scenario.prepare?.(this.#clients.map(({ caller }) => caller));
    const watch = new UsageWatch();
    const startedAtMs = Date.now();
    this.#startedMs = performance.now();
    await new Promise<void>((resolve) => {
      this.#onEnd = resolve;
      this.#idle.push(...this.#clients);
      if (this.#task.ratePerSec > 0) this.#timer = setInterval(() => this.#startDue(), 1);
      else for (const client of this.#idle.splice(0)) this.#start(client);
      this.#flush();
    });
    clearInterval(this.#timer);
    for (const [why, count] of (await this.#scenario.finish?.()) ?? []) this.#fail(why, count);
    return {
      latencies: this.#latencies,
      timeline: this.#timeline,
      startedAtMs,
      errors: this.#errors,
      elapsedMs: performance.now() - this.#startedMs,
      usage: { ...watch.end(), lateMsMax: this.#lateMsMax },
    };
  }

  record(latencyMs: number, nowMs: number): void {
    recordMs(this.#latencies, latencyMs);
    const slot = Math.floor((nowMs - this.#startedMs) / timelineMs);
    this.#timeline[slot] = (this.#timeline[slot] ?? 0) + 1;
    this.#progress[this.#task.generator] = this.#latencies.count;
  }

  #client(number: number, caller: Caller): Client {
    const client: Client = {
      ...{ number, caller, startedMs: 0 },
      onReply: (reply, why) => {
        if (reply === undefined) this.#fail(why, 1);
        else if (this.#scenario.recordsItself !== true) {
          const nowMs = performance.now();
          this.record(nowMs - client.startedMs, nowMs);
        }
        if (this.#task.ratePerSec > 0) this.#free(client);
        else this.#start(client);
      },
    };
    return client;
  }

  #start(client: Client, startedMs = performance.now()): void {
    if (this.#startedCount >= this.#task.total || client.caller.isGone) {
      if (--this.#activeCount === 0) this.#onEnd?.();
      return;
    }
    this.#startedCount++;
    client.startedMs = startedMs;
    this.#scenario.run(client.number, client.caller, client.onReply);
  }

  /** Time at which the next call is due. */
  #dueMs(): number {
    return this.#startedMs + (this.#startedCount * 1000) / this.#task.ratePerSec;
  }

  // All callers were busy when the call became due: it has waited since.
  #free(client: Client): void {
    const dueMs = this.#dueMs();
    const isDone = this.#startedCount >= this.#task.total || client.caller.isGone;
    if (isDone || dueMs <= performance.now()) this.#start(client, dueMs);
    else this.#idle.push(client);
  }

  // A caller was free, so a timer that fires late is ours and not the server's: told apart.
  #startDue(): void {
    for (let nowMs = performance.now(); this.#idle.length > 0; nowMs = performance.now()) {
      const isDone = this.#startedCount >= this.#task.total;
      if (!isDone && this.#dueMs() > nowMs) break;
      if (!isDone) this.#lateMsMax = Math.max(this.#lateMsMax, nowMs - this.#dueMs());
      const client = this.#idle.pop();
      if (client !== undefined) this.#start(client, nowMs);
    }
    this.#flush();
  }

  #flush(): void {
    for (const caller of this.#callers) caller.flush();
  }

  #fail(why: string, count: number): void {
    const known = this.#errors.has(why) || this.#errors.size < errorKindsMax;
    const kind = known ? why : "other";
    this.#errors.set(kind, (this.#errors.get(kind) ?? 0) + count);
  }
}

interface Client {
  readonly number: number;
  readonly caller: Caller;
  startedMs: number;
  readonly onReply: (reply: Uint8Array | undefined, why: string) => void;
}

/** What this thread spends from here on. */
class UsageWatch {
  readonly #cpuMs = threadCpuMs();
  readonly #delay = monitorEventLoopDelay({ resolution: 10 });
  readonly #observer: PerformanceObserver;
  #gcMs = 0;

  constructor() {
    this.#delay.enable();
    this.#observer = new PerformanceObserver((entries) => {
      for (const { duration } of entries.getEntries()) this.#gcMs += duration;
    });
    this.#observer.observe({ entryTypes: ["gc"] });
  }

  end(): Omit<LoadUsage, "lateMsMax"> {
    this.#delay.disable();
    this.#observer.disconnect();
    // The histogram holds whole timer periods.
    const loopDelayP99Ms = Math.max(0, this.#delay.percentile(99) / 1e6 - 10);
    return { cpuMs: threadCpuMs() - this.#cpuMs, gcMs: this.#gcMs, loopDelayP99Ms };
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
