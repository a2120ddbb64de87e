// Time for tests: stands still until told to move.
import type { Timers } from "../../src/http2/timers.ts";

interface Alarm {
  readonly atMs: number;
  readonly run: () => void;
}

export class ManualTimers implements Timers {
  readonly #alarms = new Set<Alarm>();
  #nowMs = 0;

  nowMs(): number {
    return this.#nowMs;
  }

  /** Alarms not yet run or cancelled. */
  get pending(): number {
    return this.#alarms.size;
  }

  after(delayMs: number, run: () => void): () => void {
    const alarm = { atMs: this.#nowMs + delayMs, run };
    this.#alarms.add(alarm);
    return () => this.#alarms.delete(alarm);
  }

  /** Moves on by `byMs`, running each alarm at its own time. */
  advance(byMs: number): void {
    const untilMs = this.#nowMs + byMs;
    for (;;) {
      const next = this.#earliest();
      if (next === undefined || next.atMs > untilMs) break;
      this.#alarms.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.run();
    }
    this.#nowMs = untilMs;
  }

  #earliest(): Alarm | undefined {
    let earliest: Alarm | undefined;
    for (const alarm of this.#alarms) {
      if (earliest === undefined || alarm.atMs < earliest.atMs) earliest = alarm;
    }
    return earliest;
  }
}
