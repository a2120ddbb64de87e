// Warnings that somebody else can cause at will: the first of a kind is loud, its repeats are not, until an
// interval is over. Kinds have a bound too, so whoever invents new ones does not fill the log either.
import type { Clock, Log, LogFields } from "./ports.ts";

/** Of loud lines of one kind. */
export const seldomMs = 600_000;
/** Loud kinds within one interval; what is more is quiet, and one line says so. */
export const seldomKindsMax = 256;

export class SeldomLog {
  readonly #log: Log;
  readonly #clock: Clock;
  /** Until when a kind is quiet; ascending, as all wait for the same time. */
  readonly #quietUntilMs = new Map<string, number>();
  #fullUntilMs = Number.NEGATIVE_INFINITY;

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** @param kind what makes it the same line: who caused it, and why. */
  warn(kind: string, message: string, fields: LogFields): void {
    if (this.#isNews(kind)) this.#log.warn(message, fields);
    else this.#log.debug(message, fields);
  }

  /** Kinds that begin like this are news the next time. */
  forget(prefix: string): void {
    for (const kind of this.#quietUntilMs.keys()) {
      if (kind.startsWith(prefix)) this.#quietUntilMs.delete(kind);
    }
  }

  #isNews(kind: string): boolean {
    const nowMs = this.#clock.nowMs();
    for (const [known, untilMs] of this.#quietUntilMs) {
      if (untilMs > nowMs) break;
      this.#quietUntilMs.delete(known);
    }
    if (this.#quietUntilMs.has(kind)) return false;
    if (this.#quietUntilMs.size >= seldomKindsMax) {
      this.#sayFull(nowMs);
      return false;
    }
    this.#quietUntilMs.set(kind, nowMs + seldomMs);
    return true;
  }

  #sayFull(nowMs: number): void {
    if (nowMs < this.#fullUntilMs) return;
    this.#fullUntilMs = nowMs + seldomMs;
    this.#log.warn("too many kinds of warnings: further ones are at level debug", {
      kinds: seldomKindsMax,
    });
  }
}
