// A member's own clock: it drifts against virtual time, and never goes back.
import type { Clock } from "../../src/base/ports.ts";
import type { EventQueue } from "./eventQueue.ts";

export class SimClock implements Clock {
  readonly #queue: EventQueue;
  /** Local microseconds per true one. */
  #rate = 1;
  #sinceUs = 0;
  #localUs = 0;

  constructor(queue: EventQueue) {
    this.#queue = queue;
  }

  nowMs(): number {
    return this.#nowUs() / 1000;
  }

  /** True time that passes while this clock counts `localUs`. */
  trueUs(localUs: number): number {
    return Math.max(1, Math.round(localUs / this.#rate));
  }

  setRate(rate: number): void {
    this.#localUs = this.#nowUs();
    this.#sinceUs = this.#queue.nowUs;
    this.#rate = rate;
  }

  #nowUs(): number {
    return this.#localUs + (this.#queue.nowUs - this.#sinceUs) * this.#rate;
  }
}
