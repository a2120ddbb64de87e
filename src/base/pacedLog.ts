// Warnings of which each tells something new, but which may come by the thousand: so many in a while are
// said, and the next one that is says how many were not.
import type { Clock, Log, LogFields } from "./ports.ts";

/** Lines within `pacedMs`. */
export const pacedLinesMax = 20;
export const pacedMs = 1_000;

export class PacedLog {
  readonly #log: Log;
  readonly #clock: Clock;
  #sinceMs = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #skipped = 0;

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** @param fields are asked for only when the line is said. */
  warn(message: string, fields: () => LogFields): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#sinceMs >= pacedMs) {
      this.#sinceMs = nowMs;
      this.#lines = 0;
    }
    if (this.#lines >= pacedLinesMax) {
      this.#skipped++;
      return;
    }
    this.#lines++;
    const skipped = this.#skipped;
    this.#skipped = 0;
    this.#log.warn(message, { ...fields(), ...(skipped > 0 && { "lines skipped": skipped }) });
  }
}
