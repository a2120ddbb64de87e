// apply: encoded commands into the state machine of one member and the store behind it. No network, no
// log. A turn applies one entry, as a member does, and hands what waits to the store as a member does.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PerformanceObserver } from "node:perf_hooks";
import { Applier } from "../../src/apply/applier.ts";
import { LogIndex, Term } from "../../src/base/brand.ts";
import { systemClock } from "../../src/base/system.ts";
import { flushRows, StoreWriter } from "../../src/member/storeWriter.ts";
import { EntryKind } from "../../src/raft/types.ts";
import type { Engine } from "../../src/storage/engine.ts";
import { defaultMapBytes, LmdbEngine } from "../../src/storage/lmdb.ts";
import { MemoryEngine } from "../../src/storage/memory.ts";
import { timelineMs } from "../load/generator.ts";
import { coarseBuckets, latencyMs, newLatencies, recordMs } from "../load/histogram.ts";
import { machineFacts } from "../measure/machine.ts";
import { machineUsage, ownUsage } from "../measure/usage.ts";
import type { ApplyOptions } from "../options.ts";
import { type BenchResult, warningsOf } from "../result.ts";
import { atRandom, eachOnce, stamp } from "./entries.ts";

/** Commands made beforehand and applied again and again; new keys need one each. */
const ringCommandsMax = 200_000;
/** Rows that wait for a slow store; then nothing is applied until it has caught up. */
const waitingRowsMax = 16 * flushRows;

export async function runApply(options: ApplyOptions, round: number): Promise<BenchResult> {
  const store = openStore(options);
  try {
    const path = new ApplyPath(store.engine, options.wanted);
    if (!options.newKeys) {
      await path.applyAll(eachOnce(options, options.keySpace), options.keySpace);
      await path.drain();
    }
    const { newKeys, total } = options;
    const entries = newKeys
      ? eachOnce(options, total)
      : atRandom(options, Math.min(total, ringCommandsMax));
    return await measured(path, entries, options, round);
  } finally {
    await store.close();
  }
}

/** State machine and store as a member has them. */
class ApplyPath {
  readonly #applier: Applier;
  readonly #writer: StoreWriter | undefined;
  readonly #wanted: boolean;
  readonly latencies = newLatencies();
  readonly timeline: number[] = [];
  #sequence = 0;
  #fault: Error | undefined;

  /** @param engine undefined: batches are taken and thrown away. */
  constructor(engine: Engine | undefined, wanted: boolean) {
    this.#wanted = wanted;
    const behind = engine ?? new MemoryEngine({ defer: (run) => void setImmediate(run) });
    this.#applier = Applier.open(behind);
    if (engine === undefined) return;
    const onDone = (error: Error | undefined): void => {
      this.#fault ??= error;
    };
    this.#writer = new StoreWriter({ clock: systemClock, engine, source: this.#applier, onDone });
  }

  get revision(): number {
    return this.#applier.revision;
  }

  async applyAll(entries: readonly Uint8Array[], total: number): Promise<number> {
    const startedMs = performance.now();
    const from = this.revision;
    for (let at = 0; this.revision - from < total; at = (at + 1) % entries.length) {
      const entry = entries[at];
      if (entry === undefined) break;
      const beganMs = performance.now();
      this.#apply(entry);
      const nowMs = performance.now();
      recordMs(this.latencies, nowMs - beganMs);
      const slot = Math.floor((nowMs - startedMs) / timelineMs);
      this.timeline[slot] = this.revision - from;
      await this.#turn();
    }
    return this.revision - from;
  }

  /** Until the store holds everything. */
  async drain(): Promise<void> {
    if (this.#writer === undefined) return;
    while (this.#applier.unflushedRows > 0 || this.#isWriting) await this.#turn();
  }

  #apply(data: Uint8Array): void {
    const index = LogIndex(this.#applier.applied + 1);
    stamp(data, ++this.#sequence);
    this.#applier.apply({ term: Term(1), index, kind: EntryKind.normal, data }, this.#wanted);
  }

  get #isWriting(): boolean {
    return this.#writer !== undefined && this.#writer.taken > this.#writer.written;
  }

  async #turn(): Promise<void> {
    do {
      if (this.#writer === undefined) this.#throwAway();
      else this.#writer.turn();
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#fault !== undefined) throw this.#fault;
    } while (this.#applier.unflushedRows > waitingRowsMax);
  }

  #throwAway(): void {
    if (this.#applier.unflushedRows < flushRows) return;
    if (this.#applier.takeBatch() !== undefined) this.#applier.batchWritten();
  }
}

async function measured(
  path: ApplyPath,
  entries: readonly Uint8Array[],
  options: ApplyOptions,
  round: number,
): Promise<BenchResult> {
  globalThis.gc?.();
  path.latencies.counts.fill(0);
  Object.assign(path.latencies, { count: 0, sumMs: 0, maxMs: 0 });
  path.timeline.length = 0;
  let gcMs = 0;
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) gcMs += duration;
  });
  observer.observe({ entryTypes: ["gc"] });
  const before = { own: ownUsage(), machine: machineUsage(), atMs: performance.now() };
  const done = await path.applyAll(entries, options.total);
  await path.drain();
  const after = { own: ownUsage(), machine: machineUsage(), atMs: performance.now() };
  observer.disconnect();
  const wallMs = after.atMs - before.atMs;
  const systemMs = after.own.systemMs - before.own.systemMs;
  const cpuMs = after.own.userMs - before.own.userMs + systemMs;
  const busyMs = after.machine.busyMs - before.machine.busyMs;
  const result = {
    ...{ name: "quorlet", row: rowOf(options), verb: "apply" as const, round, done },
    ...{ clients: 0, conns: 0, errors: {} },
    elapsedSec: wallMs / 1000,
    perSec: (done * 1000) / wallMs,
    // Of an entry with all its commands.
    latencyMs: latencyMs(path.latencies),
    buckets: coarseBuckets(path.latencies),
    timeline: { everyMs: timelineMs, counts: differences(path.timeline) },
    server: {
      cpuUs: (cpuMs * 1000) / done,
      systemUs: (systemMs * 1000) / done,
      rssMiB: after.own.rssMiB,
      gcMs,
      opsPerEntry: options.batch,
    },
    load: { cpuUs: 0, busy: 0 },
    foreignCores: Math.max(0, busyMs - cpuMs) / wallMs,
    stealCores: (after.machine.stealMs - before.machine.stealMs) / wallMs,
    ...{ options, machine: machineFacts() },
  };
  return { ...result, warnings: warningsOf(result, { total: options.total, rate: 0 }) };
}

function rowOf({ newKeys, keySpace, valSize, store, wanted }: ApplyOptions): string {
  const keys = newKeys ? "new keys" : `${keySpace} keys`;
  return `apply ${keys}, ${valSize} B, store ${store}${wanted ? ", answered" : ""}`;
}

/** Counts in each slot from running totals; a slot without an entry repeats the one before. */
function differences(totals: readonly number[]): readonly number[] {
  let before = 0;
  return Array.from(totals, (total) => {
    const count = Math.max(0, (total ?? before) - before);
    before += count;
    return count;
  });
}

function openStore({ store, dataDir }: ApplyOptions): {
  readonly engine: Engine | undefined;
  close(): Promise<void>;
} {
  if (store === "none") return { engine: undefined, close: () => Promise.resolve() };
  if (store === "memory") {
    const engine = new MemoryEngine({ defer: (run) => void setImmediate(run) });
    return { engine, close: () => engine.close() };
  }
  const directory = dataDir ?? mkdtempSync(join(tmpdir(), "quorlet-bench-apply-"));
  const engine = new LmdbEngine({ directory, mapBytes: defaultMapBytes });
  return {
    engine,
    close: async () => {
      await engine.close();
      if (dataDir === undefined) rmSync(directory, { recursive: true, force: true });
    },
  };
}
