// The writing end of a log: one active segment, one write per batch, one sync for many batches.
import type { Clock, Log } from "../base/ports.ts";
import { LogFault } from "./log.ts";
import type { LogDisk, SegmentFile } from "./logDisk.ts";
import { type BatchBuilder, type LogSummary, padToSector } from "./record.ts";
import type { OpenSegment } from "./replay.ts";
import {
  encodeSegmentHead,
  type LogOwner,
  segmentHeadBytes,
  segmentName,
  segmentSeed,
} from "./segment.ts";
import { type SyncChoice, SyncMode } from "./syncMode.ts";

/** The first segment has this length, each further one twice the last, up to the configured one. */
export const firstSegmentBytes = 4 * 1024 * 1024;
/** Saves that wait for the pool; one more blocks until the disk has caught up. */
export const syncWaitersMax = 1024;

export interface LogFileOptions {
  readonly disk: LogDisk;
  readonly clock: Clock;
  readonly log: Log;
  readonly owner: LogOwner;
  /** 64 unguessable bits for each new segment. */
  readonly salt: () => bigint;
  /** Runs the function in a later turn. */
  readonly defer: (run: () => void) => void;
  readonly segmentBytesMax: number;
  readonly sync: SyncChoice;
}

export interface LogTail {
  /** Ascending sequences; the last one is active. */
  readonly segments: readonly OpenSegment[];
  /** Number of the next batch, and its offset in the active segment. */
  readonly nextNumber: number;
  readonly offset: number;
}

type Done = (error?: Error) => void;

export class LogFile {
  readonly #options: LogFileOptions;
  readonly #mode: SyncMode;
  /** Ascending sequences, the active segment last. */
  readonly #segments: OpenSegment[];
  #active: OpenSegment;
  #offset: number;
  #nextNumber: number;
  /** Highest number known to be synced; goes into each batch, see replay.ts. */
  #synced: number;
  #waiters: { readonly number: number; readonly done: Done }[] = [];
  /** A pooled sync is under way, or its completions are being called. */
  #busy = false;
  /** Sequence of the segment whose successor was last prepared: one try each. */
  #preparedAfter = 0;
  #fault: LogFault | undefined;

  constructor(options: LogFileOptions, tail: LogTail) {
    this.#options = options;
    this.#mode = new SyncMode(options.sync);
    this.#segments = [...tail.segments];
    this.#active = lastOf(this.#segments);
    this.#offset = tail.offset;
    this.#nextNumber = tail.nextNumber;
    this.#synced = 0;
  }

  /** Set once a write or sync failed; nothing is written from then on. */
  get fault(): LogFault | undefined {
    return this.#fault;
  }

  get active(): OpenSegment {
    return this.#active;
  }

  /** Ascending; the active one is last. */
  get segments(): readonly OpenSegment[] {
    return this.#segments;
  }

  /** Where the next batch goes in the active segment. */
  get offset(): number {
    return this.#offset;
  }

  /** True when a batch of `batchBytes`, padding aside, fits the active segment. */
  fits(batchBytes: number): boolean {
    return this.#offset + padToSector(batchBytes) <= this.#active.file.bytes;
  }

  /**
   * Writes a batch that fits.
   *
   * @param summary of the log behind it.
   * @returns its offset, or undefined when the disk failed.
   */
  write(batch: BatchBuilder, summary: LogSummary): number | undefined {
    if (this.#fault) return undefined;
    batch.finish({ number: this.#nextNumber, synced: this.#synced, summary });
    const offset = this.#offset;
    try {
      this.#active.file.write(batch.bytes, batch.length, offset);
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
    this.#nextNumber++;
    this.#offset += batch.length;
    this.#prepareNext();
    return offset;
  }

  /**
   * Goes on to a new segment with room for `bytes` behind its head. The old one is synced first:
   * recovery relies on it, and only one file at a time has anything to sync.
   * @returns false when the disk failed.
   */
  rotate(bytes: number): boolean {
    if (!this.syncNow()) return false;
    const sequence = this.#active.sequence + 1;
    const name = segmentName(sequence);
    const { disk, owner, salt } = this.#options;
    const head = encodeSegmentHead({ owner, sequence, salt: salt() });
    const length = Math.max(this.#nextBytes(), segmentHeadBytes + padToSector(bytes));
    let file: SegmentFile;
    try {
      file = disk.create(name, head, length);
    } catch (error) {
      this.#fail(error, name);
      return false;
    }
    this.#active = { sequence, file, seed: segmentSeed(head) };
    this.#segments.push(this.#active);
    this.#offset = segmentHeadBytes;
    return true;
  }

  /** Makes all that was written durable, blocking. @returns false when the disk failed. */
  syncNow(): boolean {
    if (this.#fault) return false;
    try {
      this.#active.file.syncNow();
    } catch (error) {
      this.#fail(error);
      return false;
    }
    this.#synced = this.#nextNumber - 1;
    return true;
  }

  /**
   * Makes all that was written durable, where the disk's speed says.
   * @returns true when it is; else `done` is called in a later turn, in order.
   */
  sync(done: Done): boolean {
    if (this.#fault) return this.#refuse(done);
    if (this.#busy) {
      this.#wait(done);
      if (this.#waiters.length >= syncWaitersMax) this.syncNow();
      return false;
    }
    if (this.#mode.next() === "inline") {
      if (this.#syncInline()) return true;
      return this.#refuse(done);
    }
    this.#wait(done);
    this.#startSync();
    return false;
  }

  /** As `sync`, for a save that wrote nothing: it only keeps its place in the order. */
  afterEarlier(done: Done): boolean {
    if (this.#fault) return this.#refuse(done);
    if (!this.#busy) return true;
    this.#wait(done);
    return false;
  }

  /** Removes the oldest segments while `isSpent`; never the active one. */
  dropOldest(isSpent: (sequence: number) => boolean): void {
    const dropped: OpenSegment[] = [];
    for (const segment of this.#segments) {
      if (segment === this.#active || !isSpent(segment.sequence)) break;
      dropped.push(segment);
    }
    this.#segments.splice(0, dropped.length);
    for (const { file } of dropped) {
      file.close();
      try {
        this.#options.disk.remove(file.name);
      } catch (error) {
        this.#options.log.warn("could not remove a log segment", {
          file: file.name,
          why: codeOf(error),
        });
      }
    }
  }

  close(): void {
    for (const { file } of this.#segments) file.close();
    this.#options.disk.close();
  }

  #syncInline(): boolean {
    const { clock } = this.#options;
    const startedMs = clock.nowMs();
    if (!this.syncNow()) return false;
    this.#mode.measured(clock.nowMs() - startedMs);
    return true;
  }

  #wait(done: Done): void {
    this.#waiters.push({ number: this.#nextNumber - 1, done });
  }

  #startSync(): void {
    const covers = this.#nextNumber - 1;
    this.#busy = true;
    this.#active.file.sync((error) => {
      if (error !== undefined) this.#fail(error);
      if (this.#fault) {
        this.#failWaiters();
        return;
      }
      this.#synced = Math.max(this.#synced, covers);
      this.#completeWaiters();
    });
  }

  // A completion may save again. While `#busy` holds, that save only joins the waiters, so the order
  // stands: 1. the covered ones are called, 2. one sync is started for all that came meanwhile.
  #completeWaiters(): void {
    let count = 0;
    for (const waiter of this.#waiters) {
      if (waiter.number > this.#synced) break;
      count++;
    }
    for (const { done } of this.#waiters.splice(0, count)) done();
    if (this.#fault) {
      this.#failWaiters();
      return;
    }
    this.#busy = false;
    if (this.#waiters.length > 0) this.#startSync();
  }

  #failWaiters(): void {
    const fault = this.#fault;
    this.#busy = false;
    for (const { done } of this.#waiters.splice(0)) done(fault);
  }

  #refuse(done: Done): false {
    const fault = this.#fault;
    // Waiters of a sync under way come first; they are failed when it ends.
    if (this.#busy) this.#wait(done);
    else this.#options.defer(() => done(fault));
    return false;
  }

  // A write may be half done, and after a failed sync the page cache may hold what the disk lost:
  // nothing may follow either.
  #fail(error: unknown, file: string = this.#active.file.name): void {
    const code = codeOf(error);
    const trouble =
      code === "ENOSPC"
        ? ({ kind: "noSpace", file } as const)
        : ({ kind: "io", file, code } as const);
    this.#fault ??= new LogFault(trouble, { cause: error });
  }

  #nextBytes(): number {
    const doubled = Math.max(firstSegmentBytes, this.#active.file.bytes * 2);
    return Math.min(this.#options.segmentBytesMax, doubled);
  }

  // Halfway through a segment is early enough to have the next one ready, and to learn in time that
  // the disk is full.
  #prepareNext(): void {
    const { sequence, file } = this.#active;
    if (this.#preparedAfter === sequence || this.#offset < file.bytes / 2) return;
    this.#preparedAfter = sequence;
    this.#options.disk.prepare(this.#nextBytes(), (error) => {
      if (error === undefined) return;
      this.#options.log.warn("the next log segment could not be prepared", { why: codeOf(error) });
    });
  }
}

/** The code of a system error, or its message. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : error.message;
}

function lastOf(segments: readonly OpenSegment[]): OpenSegment {
  const last = segments.at(-1);
  if (last === undefined) throw new LogFault({ kind: "missing" });
  return last;
}
