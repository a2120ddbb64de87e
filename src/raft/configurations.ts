// Which membership is in force: always the latest in the log, committed or not (thesis 4.1).
import { assert } from "../base/assert.ts";
import type { LogIndex } from "../base/brand.ts";
import { changed, decodeChange } from "./membership.ts";
import { type Entry, EntryKind, type Membership } from "./types.ts";

interface Configuration {
  /** The entry that made it; for the first one, some applied index. */
  readonly index: LogIndex;
  readonly membership: Membership;
}

/**
 * A change takes effect when it is appended, so whoever holds it counts by it, and no election waits
 * for news of a commit. When the log is cut, what it brought is taken back with it.
 */
export class Configurations {
  /** Ascending; the first is committed, at most one other is not, the rest wait to be applied. */
  #history: Configuration[];

  constructor(base: Configuration) {
    this.#history = [base];
  }

  get #last(): Configuration {
    const last = this.#history.at(-1);
    assert(last !== undefined, "there is always a configuration");
    return last;
  }

  get latest(): Membership {
    return this.#last.membership;
  }

  /** In force for a state machine that has applied `index`. */
  at(index: LogIndex): Membership {
    return (this.#history.findLast((one) => one.index <= index) ?? this.#last).membership;
  }

  /** @returns whether the latest has changed. What is void here is void on all members. */
  append({ index, kind, data }: Entry): boolean {
    if (kind !== EntryKind.membership) return false;
    const decoded = decodeChange(data);
    const membership = decoded ? changed(this.latest, decoded.change) : "unknown";
    if (typeof membership === "string") return false;
    this.#history.push({ index, membership });
    return true;
  }

  /** The log now ends at `last`. */
  cut(last: LogIndex): void {
    while (this.#history.length > 1 && this.#last.index > last) this.#history.pop();
  }

  /** Nobody asks about anything before `applied` any more. */
  forgetBefore(applied: LogIndex): void {
    while (this.#history[1] !== undefined && this.#history[1].index <= applied) {
      this.#history.shift();
    }
  }

  restore(base: Configuration): void {
    this.#history = [base];
  }
}
