// Refused connections in the log: the first of a kind loud, its repeats quiet, whoever sends them.
import type { Log } from "../base/ports.ts";

/** Kinds that are remembered; beyond that all are forgotten, and loud once more. */
export const refusalsKnownMax = 256;

export interface Refused {
  /** Who it says it is, or from where it came. */
  readonly who: string;
  readonly why: string;
}

export class RefusalLog {
  readonly #log: Log;
  readonly #known = new Set<string>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** @param expected it belongs to the usual course of things. */
  note({ who, why }: Refused, expected: boolean): void {
    const kind = `${who} ${why}`;
    const level = expected || this.#known.has(kind) ? "debug" : "warn";
    if (this.#known.size >= refusalsKnownMax) this.#known.clear();
    if (!expected) this.#known.add(kind);
    this.#log[level]("refused a peer connection", { who, why });
  }

  /** It was let in: what comes later is news. */
  forget(who: string): void {
    for (const kind of this.#known) if (kind.startsWith(`${who} `)) this.#known.delete(kind);
  }
}
