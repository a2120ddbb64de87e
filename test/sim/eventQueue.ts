// Virtual time: what is to happen, ordered by (time, number). Nothing else moves the clock.

import { Violation } from "./violation.ts";

/** Events of one instant; more and the members keep one another busy without time passing. */
const instantStepsMax = 1_000_000;

/** May be gone, or asleep, when its event is due. */
export interface EventOwner {
  onDue(life: number, run: () => void): void;
}

interface Event {
  readonly atUs: number;
  readonly number: number;
  readonly run: () => void;
  /** Whose event it is, and of which life. */
  readonly owner: EventOwner | undefined;
  readonly life: number;
}

const isBefore = (a: Event, b: Event): boolean =>
  a.atUs < b.atUs || (a.atUs === b.atUs && a.number < b.number);

export class EventQueue {
  /** A binary heap, soonest first. */
  readonly #heap: Event[] = [];
  #nowUs = 0;
  #number = 0;
  #steps = 0;
  /** Steps when the present instant began. */
  #instantFrom = 0;

  /** Whole microseconds since the start. */
  get nowUs(): number {
    return this.#nowUs;
  }

  /** Events that have run. */
  get steps(): number {
    return this.#steps;
  }

  /** @param delayUs a whole number from 0. Equal times run in the order of these calls. */
  after(delayUs: number, run: () => void): void {
    this.#number++;
    const atUs = this.#nowUs + delayUs;
    this.#push({ atUs, number: this.#number, run, owner: undefined, life: 0 });
  }

  /** The same, for the owner to run it. */
  afterOf(owner: EventOwner, life: number, due: { delayUs: number; run: () => void }): void {
    this.#number++;
    const atUs = this.#nowUs + due.delayUs;
    this.#push({ atUs, number: this.#number, run: due.run, owner, life });
  }

  /** Runs everything that is due before `atUs`, which is then the time. */
  runUntil(atUs: number): void {
    const heap = this.#heap;
    for (let next = heap[0]; next !== undefined && next.atUs < atUs; next = heap[0]) {
      this.#happen(next);
    }
    this.#nowUs = atUs;
  }

  /** Apart from the loop, whose end would throw away the code that was made for it. */
  #happen({ atUs, number, run, owner, life }: Event): void {
    this.#dropFirst();
    if (atUs > this.#nowUs) this.#instantFrom = this.#steps;
    this.#nowUs = atUs;
    this.#steps++;
    if (this.#steps - this.#instantFrom > instantStepsMax) {
      throw new Violation("progress", `event ${number}: time stands still`);
    }
    if (owner === undefined) run();
    else owner.onDue(life, run);
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || isBefore(parent, event)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = event;
  }

  #dropFirst(): void {
    const heap = this.#heap;
    const moved = heap.pop();
    if (moved === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const right = left + 1;
      const a = heap[left];
      if (a === undefined) break;
      const b = right < heap.length ? heap[right] : undefined;
      const isRight = b !== undefined && isBefore(b, a);
      const child = isRight ? b : a;
      if (isBefore(moved, child)) break;
      heap[at] = child;
      at = isRight ? right : left;
    }
    heap[at] = moved;
  }
}
