// Refused connections in the log: the first of a kind loud, its repeats quiet, whoever sends them.
import type { Clock, Log } from "../base/ports.ts";
import { SeldomLog } from "../base/seldomLog.ts";

import { steadyClock } from "./steadyClock.ts";

export interface Refused {
  /** Who it says it is, or from where it came. */
  readonly who: string;
  readonly why: string;
}

export class RefusalLog {
  readonly #log: Log;
  readonly #seldom: SeldomLog;

  constructor(log: Log, clock: Clock = steadyClock) {
    this.#log = log;
    this.#seldom = new SeldomLog(log, clock);
  }

  /** @param expected it belongs to the usual course of things. */
  note({ who, why }: Refused, expected: boolean): void {
    const message = "refused a peer connection";
    if (expected) this.#log.debug(message, { who, why });
    else this.#seldom.warn(`${who} ${why}`, message, { who, why });
  }

  /** It was let in: what comes later is news. */
  forget(who: string): void {
    this.#seldom.forget(`${who} `);
  }
}
