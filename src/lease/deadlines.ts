// When leases end, for the leader alone: a binary heap over deadlines, and an entry by id. A renewal only
// notes the later deadline; the heap learns of it when the entry comes up. Time is a parameter.
import type { LeaseId } from "../base/brand.ts";

interface Entry {
  readonly id: LeaseId;
  deadlineMs: number;
  /** What the heap believes; never later than `deadlineMs`. */
  heapMs: number;
  /** Place in the heap; -1: reported as due. */
  at: number;
}

export class Deadlines {
  readonly #entries = new Map<LeaseId, Entry>();
  readonly #heap: Entry[] = [];

  get count(): number {
    return this.#entries.size;
  }

  /** Undefined for an unknown lease. */
  deadlineMs(id: LeaseId): number | undefined {
    return this.#entries.get(id)?.deadlineMs;
  }

  /** Sets the deadline; an earlier one than before costs O(log n), a later one nothing yet. */
  set(id: LeaseId, deadlineMs: number): void {
    const known = this.#entries.get(id);
    if (known === undefined) {
      const entry = { id, deadlineMs, heapMs: deadlineMs, at: this.#heap.length };
      this.#entries.set(id, entry);
      this.#heap.push(entry);
      this.#up(entry);
      return;
    }
    known.deadlineMs = deadlineMs;
    if (known.at < 0) this.#insert(known);
    else if (deadlineMs < known.heapMs) {
      known.heapMs = deadlineMs;
      this.#up(known);
    }
  }

  /**
   * Leases whose deadline is at or before `nowMs`, earliest first, at most `countMax`. Each is reported
   * once, and stays known until it is removed; `retry` lets it be reported again.
   */
  due(nowMs: number, countMax: number): LeaseId[] {
    const due: LeaseId[] = [];
    while (due.length < countMax) {
      const first = this.#heap[0];
      if (first === undefined || first.heapMs > nowMs) break;
      if (first.deadlineMs > first.heapMs) {
        first.heapMs = first.deadlineMs;
        this.#down(first);
        continue;
      }
      this.#take(first);
      due.push(first.id);
    }
    return due;
  }

  /** What came of the report is unknown: the lease is due once more. */
  retry(id: LeaseId): void {
    const entry = this.#entries.get(id);
    if (entry !== undefined && entry.at < 0) this.#insert(entry);
  }

  remove(id: LeaseId): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    if (entry.at >= 0) this.#take(entry);
  }

  #insert(entry: Entry): void {
    entry.heapMs = entry.deadlineMs;
    entry.at = this.#heap.length;
    this.#heap.push(entry);
    this.#up(entry);
  }

  #take(entry: Entry): void {
    const last = this.#heap.pop();
    const { at } = entry;
    entry.at = -1;
    if (last === undefined || last === entry) return;
    this.#place(last, at);
    this.#up(last);
    this.#down(last);
  }

  #place(entry: Entry, at: number): void {
    this.#heap[at] = entry;
    entry.at = at;
  }

  #up(entry: Entry): void {
    for (;;) {
      const at = entry.at;
      const parentAt = (at - 1) >> 1;
      const parent = at > 0 ? this.#heap[parentAt] : undefined;
      if (parent === undefined || parent.heapMs <= entry.heapMs) return;
      this.#place(parent, at);
      this.#place(entry, parentAt);
    }
  }

  #down(entry: Entry): void {
    for (;;) {
      const at = entry.at;
      const left = this.#heap[2 * at + 1];
      const right = this.#heap[2 * at + 2];
      if (left === undefined) return;
      const child = right !== undefined && right.heapMs < left.heapMs ? right : left;
      if (child.heapMs >= entry.heapMs) return;
      const childAt = child.at;
      this.#place(child, at);
      this.#place(entry, childAt);
    }
  }
}
