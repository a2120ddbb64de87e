// Which membership is in force: always the latest in the log, committed or not (thesis 4.1).
import { assert } from "../base/assert.ts";
import type { LogIndex } from "../base/brand.ts";
import { emptyBytes } from "../base/bytes.ts";
import { changed, decodeChange } from "./membership.ts";
import { type Configuration, type Entry, EntryKind, type Membership } from "./types.ts";

/** A configuration and what its proposer said with it. */
export interface ChangedConfiguration extends Configuration {
  /** Empty where the entry is not known any more. */
  readonly context: Uint8Array;
}

/**
 * A change takes effect when it is appended, so whoever holds it counts by it, and no election waits
 * for news of a commit. When the log is cut, what it brought is taken back with it.
 */
export class Configurations {
  /** Ascending; the first is committed, at most one other is not. */
  #history: ChangedConfiguration[];

  /** @param known ascending, committed, not empty. */
  constructor(known: readonly Configuration[]) {
    assert(known.length > 0, "there is always a configuration");
    this.#history = known.map((one) => ({ ...one, context: emptyBytes }));
  }

  get #last(): ChangedConfiguration {
    const last = this.#history.at(-1);
    assert(last !== undefined, "there is always a configuration");
    return last;
  }

  get latest(): Membership {
    return this.#last.membership;
  }

  /** The entry that made the latest. */
  get latestIndex(): LogIndex {
    return this.#last.index;
  }

  /** In force for a state machine that has applied `index`; undefined: forgotten. */
  at(index: LogIndex): Membership | undefined {
    return this.#history.findLast((one) => one.index <= index)?.membership;
  }

  /** What the entry at `index` brought; undefined when it changes nothing. */
  madeBy(index: LogIndex): ChangedConfiguration | undefined {
    return this.#history.find((one) => one.index === index);
  }

  /** Those that a state machine which has applied `index` has yet to see. */
  after(index: LogIndex): readonly ChangedConfiguration[] {
    return this.#history.filter((one) => one.index > index);
  }

  /** @returns whether the latest has changed. What is void here is void on all members. */
  append({ index, kind, data }: Entry): boolean {
    if (kind !== EntryKind.membership) return false;
    const decoded = decodeChange(data);
    const membership = decoded ? changed(this.latest, decoded.change) : "unknown";
    if (decoded === undefined || typeof membership === "string") return false;
    this.#history.push({ index, membership, context: decoded.context });
    return true;
  }

  /** The log now ends at `last`. */
  cut(last: LogIndex): void {
    while (this.#history.length > 1 && this.#last.index > last) this.#history.pop();
  }

  /** Nobody asks about anything before `index` any more. */
  forgetBefore(index: LogIndex): void {
    while (this.#history[1] !== undefined && this.#history[1].index <= index) {
      this.#history.shift();
    }
  }

  restore({ index, membership }: Configuration): void {
    this.#history = [{ index, membership, context: emptyBytes }];
  }
}
