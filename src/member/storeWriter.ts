// When applied changes go to the store: in batches, one under way at a time, behind the answers.
import type { Histogram } from "../base/histogram.ts";
import type { Clock } from "../base/ports.ts";
import type { Engine, EngineBatch } from "../storage/engine.ts";

/** A batch leaves when this much waits ... */
export const flushRows = 4_000;
/** ... or after this time when half as much waits, as beside a compaction ... */
const halfDelayMs = 40;
/** ... or when this much time has passed. */
const flushDelayMs = 200;

/** What collects changes between batches; the applier. */
export interface ChangeSource {
  /** Rows that wait for the next batch. */
  readonly unflushedRows: number;
  /** Everything that changed since the last batch, with applied index and term; undefined: nothing. */
  takeBatch(): EngineBatch | undefined;
  /** The batch taken last is in the engine. */
  batchWritten(): void;
}

export class StoreWriter {
  readonly #clock: Clock;
  readonly #engine: Engine;
  readonly #source: ChangeSource;
  readonly #onDone: (error: Error | undefined, batch: EngineBatch) => void;
  readonly #flushSec: Histogram | undefined;
  #taken = 0;
  #written = 0;
  #lastFlushMs: number;

  constructor(parts: {
    clock: Clock;
    engine: Engine;
    source: ChangeSource;
    /** The batch is in the engine, unless there is an error. */
    onDone: (error: Error | undefined, batch: EngineBatch) => void;
    /** Gets how long each batch took. */
    flushSec?: Histogram;
  }) {
    this.#flushSec = parts.flushSec;
    this.#clock = parts.clock;
    this.#engine = parts.engine;
    this.#source = parts.source;
    this.#onDone = parts.onDone;
    this.#lastFlushMs = parts.clock.nowMs();
  }

  /** Batches handed to the engine. */
  get taken(): number {
    return this.#taken;
  }

  /** Batches that the engine completed. */
  get written(): number {
    return this.#written;
  }

  /** No batch is under way. */
  get isIdle(): boolean {
    return this.#taken === this.#written;
  }

  /** Called once per turn and per tick. */
  turn(): void {
    // One batch at a time.
    if (!this.isIdle) return;
    const nowMs = this.#clock.nowMs();
    const waitsMs = nowMs - this.#lastFlushMs;
    const rows = this.#source.unflushedRows;
    const delayMs = rows >= flushRows ? 0 : rows >= flushRows / 2 ? halfDelayMs : flushDelayMs;
    if (waitsMs < delayMs) return;
    const batch = this.#source.takeBatch();
    if (batch === undefined) return;
    this.#taken++;
    this.#lastFlushMs = nowMs;
    this.#engine.submit(batch, (error) => {
      this.#flushSec?.observe((this.#clock.nowMs() - nowMs) / 1000);
      if (error === undefined) {
        this.#written++;
        this.#source.batchWritten();
      }
      this.#onDone(error, batch);
    });
  }
}
