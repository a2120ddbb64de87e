// Store home port: the store in use, and beside it one that is built from another member's image, or anew
// from its own rows, and then takes its place. LMDB and memory implement it.
import type { LogIndex, Term } from "../base/brand.ts";
import type { Engine, EngineBatch, TableRow } from "./engine.ts";

/** The state up to and with this entry. */
export interface StoreMoment {
  readonly index: LogIndex;
  readonly term: Term;
}

/** Where a state machine's rows live, and where a new one is built beside the one in use. */
export interface StoreHome {
  /** In use now; another object after a commit. */
  readonly engine: Engine;
  /**
   * Begins an empty store beside the one in use; an unfinished earlier one is removed.
   *
   * @throws {Mistake} while one is open. @throws {EngineFault} when it cannot be made.
   */
  begin(): IncomingStore;
  /** Waits for what is under way, then frees everything. What is incoming stays for the next start. */
  close(): Promise<void>;
}

/**
 * A store that is being built. One call at a time: each but `abandon` waits for the `done` of the one
 * before, which comes in a later turn. After an error only `abandon` is left, and after a failed commit
 * or replacement the member must stop.
 */
export interface IncomingStore {
  /** Rows in table and key order, as `PinnedRows.next` gives them; theirs until `done`. */
  add(rows: readonly TableRow[], done: (error: Error | undefined) => void): void;
  /** For rows that have changed since they were added; the batch is theirs until `done`. */
  change(batch: EngineBatch, done: (error: Error | undefined) => void): void;
  /** All rows are there: durable, marked with the moment they show, still not in use. */
  finish(at: StoreMoment, done: (error: Error | undefined) => void): void;
  /**
   * Takes the place of the engine in use, atomically also for a crash, once that one has no batch under
   * way. The swap and `done` are one step: nobody sees a closed engine in between. Only for a moment
   * that the log already begins behind, durably; see `incomingFate`.
   */
  commit(done: (error: Error | undefined) => void): void;
  /**
   * As `commit`, for the very rows of the engine in use: that stays the same object, and whoever holds it
   * reads on. Its pins are lost.
   */
  replace(done: (error: Error | undefined) => void): void;
  /** Removes it; at any time before `commit` and `replace`. No `done` comes any more. */
  abandon(): void;
}

/** What a start makes of a store that was incoming when the member died. */
export type IncomingFate = "take" | "remove";

/**
 * The log decides. It begins behind the moment of an image only after the member took that image for
 * its state: then the old store no longer leads to the log, and the incoming one must be put in place.
 * If the log was compacted up to that very moment instead, it leads on from there as well.
 *
 * @param finished the moment that it was marked with; undefined when it was never finished.
 * @param logBase what the log begins behind.
 */
export function incomingFate(
  finished: StoreMoment | undefined,
  logBase: StoreMoment,
): IncomingFate {
  const isOurs = finished?.index === logBase.index && finished.term === logBase.term;
  return isOurs && logBase.index > 0 ? "take" : "remove";
}
