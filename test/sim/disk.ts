// One member's disk over all of its lives: log and store, with completions that come late, stall or
// fail. A crash loses what was not completed, or leaves it in pieces.

import type { LogIndex, MemberId } from "../../src/base/brand.ts";
import { emptyBytes } from "../../src/base/bytes.ts";
import type { Prng } from "../../src/base/prng.ts";
import type {
  Entry,
  InitialState,
  Membership,
  RefillFloor,
  SnapshotMeta,
} from "../../src/raft/types.ts";
import { type Engine, Table } from "../../src/storage/engine.ts";
import { EngineFault } from "../../src/storage/engineFault.ts";
import { LogFault, type LogWrite, type RaftLog } from "../../src/storage/log.ts";
import { MemoryStoreHome } from "../../src/storage/memoryHome.ts";
import type { StoreHome } from "../../src/storage/storeHome.ts";
import { damageKinds } from "./damage.ts";
import type { DurableRecord } from "./durableRecord.ts";
import type { EventQueue } from "./eventQueue.ts";
import { type LogStore, MemoryStore, SegmentStore } from "./logStore.ts";
import type { DiskOdds } from "./odds.ts";
import { homeWith } from "./simHome.ts";
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
  /** So few others are harmed that the members can still help this one. */
  readonly mayHarm: () => boolean;
  /** What the disk holds for certain has changed. */
  readonly onDurable: () => void;
}

const healed = { syncUsMax: 500, storeUsMax: 5_000, stall: 0, fail: 0, harm: 0 } as const;
const stallFactor = 100;
/** The slowest disk, at its worst. */
const delayUsMax = 15_000_000;

export class SimDisk {
  readonly #parts: DiskParts;
  readonly #store: LogStore;
  #odds: DiskOdds;
  #home: MemoryStoreHome;
  #isStoreLost = false;
  /** When the last save so far will be durable. */
  #syncedUs = 0;
  /** When the store will have done the slowest of what it was given. */
  #storedUs = 0;
  /** Everything takes this many times longer. */
  slowness = 1;

  constructor(parts: DiskParts, membership: Membership) {
    this.#parts = parts;
    this.#odds = parts.odds;
    this.#store = this.#newStore(membership);
    this.#home = this.#newHome();
    parts.durable.reload(this.#store.log);
  }

  /** When log and store will have done what they were given so far. */
  get idleUs(): number {
    return Math.max(this.#syncedUs, this.#storedUs);
  }

  /** Rows of keys that the store holds. */
  get storedRows(): number {
    let count = 0;
    this.#home.engine.scan({ table: Table.key, from: emptyBytes }, () => {
      count++;
      return true;
    });
    return count;
  }

  /** Log and store as the next life of the member finds them. */
  open(): { readonly log: RaftLog; readonly home: StoreHome } {
    this.#isStoreLost = false;
    return {
      log: new WatchedLog(this.#store, this.#parts, () => this.#odds.fail),
      home: homeWith(
        this.#home,
        (engine) => this.#watchedEngine(engine),
        (site) => this.#parts.sites.pass(this.#parts.id, site),
      ),
    };
  }

  /** @returns what survived of unfinished writes. @throws {LogFault} when the log is not trusted. */
  crash(): string {
    const { durable, onDurable } = this.#parts;
    this.#syncedUs = 0;
    this.#storedUs = 0;
    const survived = this.#store.crash();
    this.#home = this.#home.afterCrash(this.#store.log.base());
    durable.reload(this.#store.log);
    const harm = this.#harm();
    durable.reload(this.#store.log);
    onDurable();
    return harm === undefined ? survived : `${survived}; ${harm}`;
  }

  /** Lost what it had acknowledged, and does not have it again yet. */
  get isHarmed(): boolean {
    return this.#isStoreLost || this.#store.log.initialState().refill !== undefined;
  }

  /** The log takes nothing more, and nobody has said so to the member yet. */
  get hasFailed(): boolean {
    return this.#store.hasFailed;
  }

  /** The next segment of the log finds no room. */
  fill(): void {
    this.#store.fill();
  }

  #harm(): string | undefined {
    const { random, sites, durable, mayHarm } = this.#parts;
    if (!random.oneIn(this.#odds.harm) || !mayHarm()) return undefined;
    durable.onDamage();
    const kind = damageKinds[random.integer(damageKinds.length + 1)];
    if (kind === undefined) {
      this.#home = this.#newHome();
      this.#isStoreLost = true;
      sites.count("disk.store lost");
      return "the store is lost";
    }
    const harm = this.#store.damage(kind);
    if (harm !== undefined) sites.count(`disk.${kind}`);
    if (this.isHarmed) sites.count("disk.refill");
    return harm;
  }

  #newHome(): MemoryStoreHome {
    const { later, queue } = this.#parts;
    return new MemoryStoreHome({
      defer: (run) => {
        const us = this.#delayUs(this.#odds.storeUsMax);
        this.#storedUs = Math.max(this.#storedUs, queue.nowUs + us);
        later(us, run);
      },
    });
  }

  heal(): void {
    this.#odds = { ...this.#odds, ...healed };
    this.#store.makeRoom();
    this.slowness = 1;
  }

  #newStore(membership: Membership): LogStore {
    const { id, random, later, odds } = this.#parts;
    const parts = {
      id,
      membership,
      random,
      whenSynced: (complete: () => void) => later(this.#syncDelayUs(), complete),
      defer: (run: () => void) => later(0, run),
    };
    return odds.log === "memory" ? new MemoryStore(parts) : new SegmentStore(parts, odds.log);
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

  #watchedEngine(engine: Engine): Engine {
    const pass = (site: CrashSite) => this.#parts.sites.pass(this.#parts.id, site);
    return {
      get: (table, key) => engine.get(table, key),
      rowCount: (table) => engine.rowCount(table),
      scan: (range, visit) => engine.scan(range, visit),
      submit: (batch, done) => {
        pass("store.submit");
        const { random, sites, later } = this.#parts;
        if (random.oneIn(this.#odds.fail)) {
          sites.count("store.fail");
          later(1, () => done(new EngineFault({ kind: "io", why: "EIO" })));
          return;
        }
        engine.submit(batch, (error) => {
          pass("store.done");
          done(error);
        });
        pass("store.submitted");
      },
      size: () => engine.size(),
      pin: () => engine.pin(),
      close: () => engine.close(),
    };
  }
}

/** Tells of saves, notes when they are durable, and fails now and then. */
class WatchedLog implements RaftLog {
  readonly #store: LogStore;
  readonly #inner: RaftLog;
  readonly #parts: DiskParts;
  readonly #failOdds: () => number;
  /** Saves that are not known to be durable, oldest first. */
  #unsynced: LogWrite[] = [];
  #failed = false;

  constructor(store: LogStore, parts: DiskParts, failOdds: () => number) {
    this.#store = store;
    this.#inner = store.log;
    this.#parts = parts;
    this.#failOdds = failOdds;
  }

  save(write: LogWrite, mustSync: boolean, done: (error?: Error) => void): boolean {
    const { id, sites, random, onSave, later } = this.#parts;
    sites.pass(id, "log.save");
    if (random.oneIn(this.#failOdds())) this.#failed = true;
    this.#unsynced.push(write);
    const onDone = (error?: Error): void => {
      if (error === undefined) this.#synced(write);
      sites.pass(id, "log.done");
      done(error ?? this.#fault());
    };
    const isDurable = this.#inner.save(write, mustSync, onDone);
    onSave(write, this.#inner);
    this.#store.afterSave();
    if (isDurable) this.#synced(write);
    sites.pass(id, "log.saved");
    if (!isDurable || !this.#failed) return isDurable;
    later(1, () => done(this.#fault()));
    return false;
  }

  initialState(): InitialState {
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

  visitSizes(visit: (index: number, bytes: number) => void): void {
    this.#inner.visitSizes(visit);
  }

  compact(index: LogIndex, membership: Membership): void {
    const { id, sites } = this.#parts;
    sites.pass(id, "log.compact");
    this.#inner.compact(index, membership);
    this.#allSynced();
    sites.pass(id, "log.compacted");
  }

  restart(base: SnapshotMeta, floor: RefillFloor): void {
    this.#inner.restart(base, floor);
    this.#allSynced();
    this.#parts.sites.count("log.restart");
  }

  close(): void {
    this.#inner.close();
  }

  /** What syncs by itself takes all with it that was saved before. */
  #allSynced(): void {
    this.#unsynced = [];
    this.#store.afterSave();
    this.#parts.durable.reload(this.#inner);
    this.#parts.onDurable();
  }

  /** This save is durable, and with it all before. */
  #synced(write: LogWrite): void {
    const { durable, onDurable } = this.#parts;
    for (let left = this.#unsynced.indexOf(write) + 1; left > 0; left--) {
      const saved = this.#unsynced.shift();
      if (saved !== undefined) durable.saved(saved);
    }
    onDurable();
  }

  #fault(): LogFault | undefined {
    if (!this.#failed) return undefined;
    this.#parts.sites.count("disk.fail");
    return new LogFault({ kind: "io", file: "sim", code: "EIO" });
  }
}
