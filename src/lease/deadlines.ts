// When each lease ends, by the leader's clock. A renewal only moves the end; the heap hears of it when the
// old end comes up. So a keep-alive costs one look-up, however many leases there are.
import type { LeaseId } from "../base/brand.ts";

interface Slot {
  readonly id: LeaseId;
  endMs: number;
  /** What the heap is ordered by: never after `endMs`. */
  heapMs: number;
  /** Place in the heap; `taken`: it was reported as due. */
  place: number;
}

const taken = -1;

export class Deadlines {
  readonly #slots = new Map<LeaseId, Slot>();
  readonly #heap: Slot[] = [];

  get count(): number {
    return this.#slots.size;
  }

  endMs(id: LeaseId): number | undefined {
    return this.#slots.get(id)?.endMs;
  }

  /** A new end, of a known lease or a new one; one that was reported stays out until `putBack`. */
  set(id: LeaseId, endMs: number): void {
    const slot = this.#slots.get(id);
    if (slot === undefined) {
      const added = { id, endMs, heapMs: endMs, place: taken };
      this.#slots.set(id, added);
      this.#push(added);
      return;
    }
    slot.endMs = endMs;
    if (slot.place === taken || endMs >= slot.heapMs) return;
    slot.heapMs = endMs;
    this.#rise(slot);
  }

  remove(id: LeaseId): void {
    const slot = this.#slots.get(id);
    if (slot === undefined) return;
    this.#slots.delete(id);
    if (slot.place !== taken) this.#takeOut(slot);
  }

  /**
   * Reports leases whose end has come, the earliest first, each once: until it is put back.
   * @param countMax the others stay for the next call.
   */
  takeDue(nowMs: number, countMax: number): LeaseId[] {
    const due: LeaseId[] = [];
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      if (first.heapMs > nowMs || due.length >= countMax) break;
      if (first.endMs > first.heapMs) {
        first.heapMs = first.endMs;
        this.#sink(first);
      } else {
        this.#takeOut(first);
        due.push(first.id);
      }
    }
    return due;
  }

  /** A reported lease that did not end may be reported again; one that is gone is none. */
  putBack(id: LeaseId): void {
    const slot = this.#slots.get(id);
    if (slot === undefined || slot.place !== taken) return;
    slot.heapMs = slot.endMs;
    this.#push(slot);
  }

  #push(slot: Slot): void {
    slot.place = this.#heap.length;
    this.#heap.push(slot);
    this.#rise(slot);
  }

  #takeOut(slot: Slot): void {
    const { place } = slot;
    slot.place = taken;
    const last = this.#heap.pop();
    if (last === undefined || last === slot) return;
    last.place = place;
    this.#heap[place] = last;
    this.#rise(last);
    this.#sink(last);
  }

  #rise(slot: Slot): void {
    while (slot.place > 0) {
      const parent = this.#heap[(slot.place - 1) >> 1];
      if (parent === undefined || parent.heapMs <= slot.heapMs) return;
      this.#swap(parent, slot);
    }
  }

  #sink(slot: Slot): void {
    for (;;) {
      const left = this.#heap[2 * slot.place + 1];
      const right = this.#heap[2 * slot.place + 2];
      const child = right !== undefined && left && right.heapMs < left.heapMs ? right : left;
      if (child === undefined || child.heapMs >= slot.heapMs) return;
      this.#swap(slot, child);
    }
  }

  #swap(upper: Slot, lower: Slot): void {
    const { place } = upper;
    upper.place = lower.place;
    lower.place = place;
    this.#heap[upper.place] = upper;
    this.#heap[lower.place] = lower;
  }
}
