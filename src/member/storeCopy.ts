// A store that is built anew from the rows of the one in use, which goes on meanwhile.
//
//   copying ── all tables ──► catching up ── nothing is left ──► finishing ──► replacing
//                                └─ little is left: the store rests until the end ─┘
//
// Rows are read as they are, not as of one moment: a pin would keep the old file growing. A key that a
// batch changes behind the reading is noted, and looked up once more. Before it is the last step of the
// reading that finds it.
import { compareBytes, copyBytes } from "../base/bytes.ts";
import type { Clock } from "../base/ports.ts";
import { decodeSavedState, freshState, savedStateKey } from "../mvcc/savedState.ts";
import { type Engine, type EngineBatch, Table, type TableRow } from "../storage/engine.ts";
import type { IncomingStore } from "../storage/storeHome.ts";

/** One batch of the new store, and so what one turn reads: the first of these that is reached. */
export const copyRowsMax = 1_024;
export const copyBytesMax = 1 << 20;
export const copyBudgetMs = 5;
/** Keys that were changed behind the reading and are to be looked up; more are never noted for long. */
export const changedKeysMax = 200_000;
/** A reader of the store in use is waited for so long in all; then its reading is cut off. */
export const heldMsMax = 600_000;
/** After so many steps of catching up the store rests, however much is changed in each. */
export const catchUpStepsMax = 64;

export interface StoreCopyParts {
  readonly engine: Engine;
  readonly incoming: IncomingStore;
  readonly clock: Clock;
  /** As above, unless given. */
  readonly changedKeysMax?: number;
  /** Somebody reads a moment of the store in use: to replace it now would cut that off. */
  readonly isHeld: () => boolean;
  /** Something is to be done in a turn. */
  readonly wake: () => void;
  /** The new store could not be built and is removed; the one in use is as it was. */
  readonly onFailed: (error: Error) => void;
  /** It is in use. With an error the member must stop. */
  readonly onReplaced: (error: Error | undefined) => void;
}

type Step = "copying" | "catchingUp" | "finishing" | "finished" | "replacing" | "over";

const tables = Object.values(Table);

export class StoreCopy {
  readonly #parts: StoreCopyParts;
  #step: Step = "copying";
  #isBusy = false;
  #isResting = false;
  /** Position in `tables`, and the last row of that table that was read. */
  #at = 0;
  #lastKey: Uint8Array | undefined;
  /** Rows until the first of them was read; those that come while they are read may be more. */
  #rowsLeft: number;
  #catchUpSteps = 0;
  /** When a reader was first waited for. */
  #heldSinceMs: number | undefined;
  /** As `nameOf` writes them. */
  readonly #changed = new Set<string>();

  constructor(parts: StoreCopyParts) {
    this.#parts = parts;
    this.#rowsLeft = tables.reduce<number>((sum, table) => sum + parts.engine.rowCount(table), 0);
  }

  /** No batch may begin: the last rows are being brought. */
  get holdsStore(): boolean {
    return this.#isResting;
  }

  /** The new store takes the place of the old one: that cannot be undone. */
  get isReplacing(): boolean {
    return this.#step === "replacing";
  }

  /** Still far from its end, and too many keys are to be looked up: begin anew, or let the store rest. */
  get isFlooded(): boolean {
    return this.#step === "copying" && !this.#isResting && this.#isFull;
  }

  /** From now on no batch may begin. */
  rest(): void {
    this.#isResting = true;
  }

  /** A batch is in the engine. */
  onBatch({ puts, deletes }: EngineBatch): void {
    for (const { table, key } of puts) this.#note(table, key);
    for (const { table, key } of deletes) this.#note(table, key);
    if (this.#step !== "copying" && this.#isFull) this.#isResting = true;
  }

  /** @param isStoreIdle no batch is under way. */
  turn(isStoreIdle: boolean): void {
    if (this.#isBusy) return;
    if (this.#step === "copying") this.#copy();
    else if (this.#step === "catchingUp") this.#catchUp(isStoreIdle);
    else if (this.#step === "finished") this.#replace();
  }

  /** At any time before it replaces; nothing is left of it. */
  abandon(): void {
    if (this.#step === "over") return;
    this.#step = "over";
    this.#parts.incoming.abandon();
  }

  get #isFull(): boolean {
    return this.#changed.size >= (this.#parts.changedKeysMax ?? changedKeysMax);
  }

  /** No reader is in the way of the end, or it was waited for long enough. */
  get #mayEnd(): boolean {
    const { clock, isHeld } = this.#parts;
    if (!isHeld()) return true;
    this.#heldSinceMs ??= clock.nowMs();
    return clock.nowMs() - this.#heldSinceMs >= heldMsMax;
  }

  #note(table: Table, key: Uint8Array): void {
    const at = tables[this.#at];
    if (at !== undefined) {
      const isAhead = table === at ? !this.#hasRead(key) : table > at;
      if (isAhead) return;
    }
    this.#changed.add(nameOf(table, key));
  }

  #hasRead(key: Uint8Array): boolean {
    return this.#lastKey !== undefined && compareBytes(key, this.#lastKey) <= 0;
  }

  #copy(): void {
    const { clock, engine } = this.#parts;
    const untilMs = clock.nowMs() + copyBudgetMs;
    const rows: TableRow[] = [];
    let bytes = 0;
    const isFull = (): boolean =>
      rows.length >= copyRowsMax || bytes >= copyBytesMax || clock.nowMs() >= untilMs;
    for (let table = tables[this.#at]; table !== undefined; table = tables[++this.#at]) {
      const last = this.#lastKey;
      const from = last ?? Buffer.of(0);
      let isCut = false;
      engine.scan({ table, from }, (key, value) => {
        if (last !== undefined && compareBytes(key, last) === 0) return true;
        rows.push({ table, key: copyBytes(key), value: copyBytes(value) });
        bytes += key.length + value.length;
        isCut = isFull();
        return !isCut;
      });
      this.#lastKey = isCut ? rows.at(-1)?.key : undefined;
      if (isCut) break;
    }
    // What was written since the beginning is the tail of the history: it could grow as fast as it is read.
    this.#rowsLeft -= rows.length;
    if (this.#rowsLeft < 0 && this.#mayEnd) this.#isResting = true;
    if (this.#at === tables.length) this.#step = "catchingUp";
    this.#bring({ puts: rows, deletes: [] });
  }

  #catchUp(isStoreIdle: boolean): void {
    if (this.#mayEnd) {
      this.#catchUpSteps++;
      const isLast = this.#changed.size <= copyRowsMax || this.#catchUpSteps > catchUpStepsMax;
      if (isLast) this.#isResting = true;
    }
    if (this.#isResting && !isStoreIdle) return;
    if (this.#changed.size > 0) this.#bring(this.#takeChanged());
    else if (this.#isResting) this.#finish();
  }

  #takeChanged(): EngineBatch {
    const puts: TableRow[] = [];
    const deletes: { table: Table; key: Uint8Array }[] = [];
    let bytes = 0;
    for (const name of this.#changed) {
      this.#changed.delete(name);
      const { table, key } = keyOf(name);
      const value = this.#parts.engine.get(table, key);
      if (value === undefined) deletes.push({ table, key });
      else puts.push({ table, key, value });
      bytes += key.length + (value?.length ?? 0);
      if (puts.length + deletes.length >= copyRowsMax || bytes >= copyBytesMax) break;
    }
    return { puts, deletes };
  }

  #bring(batch: EngineBatch): void {
    this.#isBusy = true;
    this.#parts.incoming.change(batch, (error) => this.#onDone(error));
  }

  #finish(): void {
    const { engine, incoming } = this.#parts;
    const saved = engine.get(Table.meta, savedStateKey);
    const { index, term } = saved ? decodeSavedState(saved).applied : freshState.applied;
    this.#step = "finishing";
    this.#isBusy = true;
    incoming.finish({ index, term }, (error) => {
      if (this.#step === "finishing") this.#step = "finished";
      this.#onDone(error);
    });
  }

  #onDone(error: Error | undefined): void {
    if (this.#step === "over") return;
    this.#isBusy = false;
    if (error !== undefined) {
      this.abandon();
      this.#parts.onFailed(error);
    }
    this.#parts.wake();
  }

  #replace(): void {
    this.#step = "replacing";
    this.#isBusy = true;
    this.#parts.incoming.replace((error) => {
      this.#step = "over";
      this.#parts.onReplaced(error);
      this.#parts.wake();
    });
  }
}

/** A set of byte arrays is one of strings here: one character a byte, the table first. */
function nameOf(table: Table, key: Uint8Array): string {
  const bytes = Buffer.from(key.buffer, key.byteOffset, key.length);
  return String.fromCharCode(table) + bytes.toString("latin1");
}

function keyOf(name: string): { readonly table: Table; readonly key: Uint8Array } {
  const table = tables.find((each) => each === name.charCodeAt(0)) ?? Table.meta;
  return { table, key: Buffer.from(name.slice(1), "latin1") };
}
