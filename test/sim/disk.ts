// One member's disk over all of its lives: log and store in memory, with completions that come late,
// stall or fail. A crash loses what was not completed, save for the first few writes of the log.
import type { LogIndex, MemberId } from "../../src/base/brand.ts";
import type { Prng } from "../../src/base/prng.ts";
import type { Entry, HardState, Membership, SnapshotMeta } from "../../src/raft/types.ts";
import type { Engine } from "../../src/storage/engine.ts";
import { LogFault, type LogWrite, type RaftLog } from "../../src/storage/log.ts";
import { MemoryEngine } from "../../src/storage/memory.ts";
import { MemoryLog } from "../../src/storage/memoryLog.ts";
import type { DurableRecord } from "./durableRecord.ts";
import type { EventQueue } from "./eventQueue.ts";
import type { DiskOdds } from "./odds.ts";
import type { CrashSite, Sites } from "./sites.ts";

export interface DiskParts {
  readonly id: MemberId;
  readonly queue: EventQueue;
  readonly random: Prng;
  readonly sites: Sites;
  readonly odds: DiskOdds;
  readonly durable: DurableRecord;
  /** Runs in the member's present life, if it lasts that long. */
  readonly later: (delayUs: number, run: () => void) => void;
  /** A save was handed over; it can be read from `log`. */
  readonly onSave: (write: LogWrite, log: RaftLog) => void;
  /** What the disk holds for certain has changed. */
  readonly onDurable: () => void;
}

const healed: DiskOdds = { syncUsMax: 500, storeUsMax: 5_000, stall: 0, fail: 0 };
const stallFactor = 100;
/** The slowest disk, at its worst. */
const delayUsMax = 15_000_000;

export class SimDisk {
  readonly #parts: DiskParts;
  #odds: DiskOdds;
  #log: MemoryLog;
  #engine: MemoryEngine;
  /** When the last save so far will be durable. */
  #syncedUs = 0;
  /** Everything takes this many times longer. */
  slowness = 1;

  constructor(parts: DiskParts, membership: Membership) {
    this.#parts = parts;
    this.#odds = parts.odds;
    this.#log = new MemoryLog({
      membership,
      delay: (complete) => parts.later(this.#syncDelayUs(), complete),
    });
    this.#engine = new MemoryEngine({
      defer: (run) => parts.later(this.#delayUs(this.#odds.storeUsMax), run),
    });
  }

  /** When the last save so far will be durable. */
  get syncedUs(): number {
    return this.#syncedUs;
  }

  /** Log and store as the next life of the member finds them. */
  open(): { readonly log: RaftLog; readonly engine: Engine } {
    return {
      log: new WatchedLog(this.#log, this.#parts, () => this.#odds.fail),
      engine: this.#watchedEngine(),
    };
  }

  /** @returns how many unfinished writes of the log survived. */
  crash(): number {
    const { random, durable } = this.#parts;
    const kept = random.integer(this.#log.pendingCount + 1);
    this.#syncedUs = 0;
    this.#log = this.#log.afterCrash(kept);
    this.#engine = this.#engine.afterCrash();
    durable.reload(this.#log);
    this.#parts.onDurable();
    return kept;
  }

  heal(): void {
    this.#odds = healed;
    this.slowness = 1;
  }

  /** Saves become durable in order. */
  #syncDelayUs(): number {
    const { nowUs } = this.#parts.queue;
    this.#syncedUs = Math.max(this.#syncedUs, nowUs + this.#delayUs(this.#odds.syncUsMax));
    return this.#syncedUs - nowUs;
  }

  #delayUs(usMax: number): number {
    const { random, sites } = this.#parts;
    let us = 1 + random.integer(usMax);
    if (random.oneIn(this.#odds.stall)) {
      sites.count("disk.stall");
      us *= stallFactor;
    }
    return Math.min(us * this.slowness, delayUsMax);
  }

  #watchedEngine(): Engine {
    const engine = this.#engine;
    const pass = (site: CrashSite) => this.#parts.sites.pass(this.#parts.id, site);
    return {
      get: (table, key) => engine.get(table, key),
      scan: (range, visit) => engine.scan(range, visit),
      submit: (batch, done) => {
        pass("store.submit");
        engine.submit(batch, (error) => {
          pass("store.done");
          done(error);
        });
        pass("store.submitted");
      },
      size: () => engine.size(),
      close: () => engine.close(),
    };
  }
}

/** Tells of saves, notes when they are durable, and fails now and then. */
class WatchedLog implements RaftLog {
  readonly #inner: MemoryLog;
  readonly #parts: DiskParts;
  readonly #failOdds: () => number;
  #failed = false;

  constructor(inner: MemoryLog, parts: DiskParts, failOdds: () => number) {
    this.#inner = inner;
    this.#parts = parts;
    this.#failOdds = failOdds;
  }

  save(write: LogWrite, mustSync: boolean, done: (error?: Error) => void): boolean {
    const { id, sites, random, durable, onSave } = this.#parts;
    sites.pass(id, "log.save");
    if (random.oneIn(this.#failOdds())) this.#failed = true;
    const isDurable = this.#inner.save(write, mustSync, () => {
      durable.saved(write);
      this.#parts.onDurable();
      sites.pass(id, "log.done");
      if (!this.#failed) done();
      else {
        sites.count("disk.fail");
        done(new LogFault({ kind: "io", file: "sim", code: "EIO" }));
      }
    });
    onSave(write, this.#inner);
    sites.pass(id, "log.saved");
    return isDurable;
  }

  initialState(): { readonly hardState: HardState; readonly membership: Membership } {
    return this.#inner.initialState();
  }

  base(): SnapshotMeta {
    return this.#inner.base();
  }

  firstIndex(): LogIndex {
    return this.#inner.firstIndex();
  }

  lastIndex(): LogIndex {
    return this.#inner.lastIndex();
  }

  term(index: LogIndex): ReturnType<RaftLog["term"]> {
    return this.#inner.term(index);
  }

  entries(range: { from: LogIndex; to: LogIndex; bytesMax: number }): readonly Entry[] {
    return this.#inner.entries(range);
  }

  compact(index: LogIndex, membership: Membership): void {
    this.#inner.compact(index, membership);
  }

  close(): void {
    this.#inner.close();
  }
}
