// When the store is built anew, and who waits for that. It needs the place beside the store, which an image
// from a leader needs too: that comes first.
import { Mistake } from "../base/assert.ts";
import { errDefragmentFailed, errStopped, errTooManyRequests } from "../base/errors.ts";
import type { Histogram } from "../base/histogram.ts";
import type { Clock, Log } from "../base/ports.ts";
import type { EngineBatch } from "../storage/engine.ts";
import type { IncomingStore, StoreHome } from "../storage/storeHome.ts";
import type { DefragmentCompletion } from "./service.ts";
import { StoreCopy } from "./storeCopy.ts";

/** Callers at once; one more is refused. */
export const defragmentsMax = 64;
/** A copy that is flooded with changes begins anew so many times; after that the store rests for it. */
export const copiesAnewMax = 3;

/** How far the rows that compactions dropped are gone from the store. */
export interface CompactionState {
  readonly compactedRevision: number;
  readonly sweptRevision: number;
}

export interface DefragmentParts {
  readonly home: StoreHome;
  readonly clock: Clock;
  readonly log: Log;
  readonly wake: () => void;
  /** The member can no longer go on. */
  readonly fail: (error: Error) => void;
  /** An image is being received. */
  readonly isReceiving: () => boolean;
  /** As for StoreCopy. */
  readonly isHeld: () => boolean;
  readonly changedKeysMax?: number;
  readonly compaction: () => CompactionState;
  /** Gets how long each took that went well. */
  readonly tookSec: Histogram;
}

export class Defragment {
  readonly #parts: DefragmentParts;
  #waiting: DefragmentCompletion[] = [];
  #copy: StoreCopy | undefined;
  #startMs = 0;
  /** The compaction that was there when one was first asked for; the copy begins when its rows are gone. */
  #compactedFirst: number | undefined;
  #timesAnew = 0;

  constructor(parts: DefragmentParts) {
    this.#parts = parts;
  }

  /** Meanwhile no compacted row may go: each would have to be looked up once more. */
  get isUnderWay(): boolean {
    return this.#copy !== undefined;
  }

  /** No batch may be handed to the store. */
  get holdsStore(): boolean {
    return this.#copy?.holdsStore === true;
  }

  /** Who asks while one is under way is answered with that: its file has no free pages either. */
  add(completion: DefragmentCompletion): void {
    if (this.#waiting.length >= defragmentsMax) completion.onRefused(errTooManyRequests);
    else this.#waiting.push(completion);
  }

  /** A batch is in the store. */
  onBatch(batch: EngineBatch): void {
    this.#copy?.onBatch(batch);
    if (this.#copy?.isFlooded !== true) return;
    if (this.#timesAnew++ < copiesAnewMax) this.giveWay();
    else this.#copy.rest();
    this.#parts.wake();
  }

  /** @param isStoreIdle no batch is under way. */
  turn(isStoreIdle: boolean): void {
    if (this.#copy === undefined && this.#waiting.length > 0 && this.#mayBegin()) this.#begin();
    this.#copy?.turn(isStoreIdle);
  }

  /**
   * The place beside the store is wanted for an image: what is under way begins anew after that.
   *
   * @returns false in the short time in which it cannot be had.
   */
  giveWay(): boolean {
    if (this.#copy?.isReplacing === true) return false;
    this.#copy?.abandon();
    this.#copy = undefined;
    return true;
  }

  stop(): void {
    this.giveWay();
    for (const { onRefused } of this.#take()) onRefused(errStopped);
  }

  // Later compactions are not waited for: they may come faster than their rows go.
  #mayBegin(): boolean {
    const { compactedRevision, sweptRevision } = this.#parts.compaction();
    this.#compactedFirst ??= compactedRevision;
    return sweptRevision >= this.#compactedFirst && !this.#parts.isReceiving();
  }

  #begin(): void {
    const { home, clock, wake, isHeld, changedKeysMax } = this.#parts;
    this.#compactedFirst = undefined;
    const incoming = this.#beginIncoming();
    if (incoming === undefined) return;
    this.#startMs = clock.nowMs();
    this.#copy = new StoreCopy({
      ...{ engine: home.engine, incoming, clock, wake, isHeld },
      ...(changedKeysMax !== undefined && { changedKeysMax }),
      onFailed: (error) => this.#onFailed(error),
      onReplaced: (error) => this.#onReplaced(error),
    });
  }

  #beginIncoming(): IncomingStore | undefined {
    try {
      return this.#parts.home.begin();
    } catch (error) {
      if (!(error instanceof Error) || error instanceof Mistake) throw error;
      this.#onFailed(error);
      return undefined;
    }
  }

  /** The disk may be full: the store in use is as good as before. */
  #onFailed({ message }: Error): void {
    this.#copy = undefined;
    this.#parts.log.warn("could not defragment", { why: message });
    for (const { onRefused } of this.#take()) onRefused(errDefragmentFailed(message));
  }

  #onReplaced(error: Error | undefined): void {
    const { clock, log, fail, home, tookSec } = this.#parts;
    this.#copy = undefined;
    if (error !== undefined) {
      fail(error);
      return;
    }
    const tookMs = clock.nowMs() - this.#startMs;
    tookSec.observe(tookMs / 1000);
    const bytes = home.engine.size().allocatedBytes;
    log.info("finished defragmenting", { bytes, took: `${tookMs}ms` });
    for (const { onDone } of this.#take()) onDone();
  }

  #take(): readonly DefragmentCompletion[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#compactedFirst = undefined;
    this.#timesAnew = 0;
    return waiting;
  }
}
