// Where to sync: on the event loop while the disk is fast, on libuv's pool while it is slow.

/** `auto` measures; the others never change. */
export type SyncChoice = "auto" | "inline" | "pooled";

/** Inline syncs slower than this, on a moving mean, move to the pool. */
const slowMs = 1.5;
/** They come back when the mean of the probes is below this. */
const fastMs = 0.7;
/**
 * In the pool, one sync in so many is made inline as a probe. Pooled syncs say little: while the
 * processors are busy a thread that blocks is scheduled late, and the pool is faster on the same disk
 * (medians of 2.5 and 0.4 ms at a load of nine per core).
 */
const probeEvery = 256;
/** Weight of the newest measure inline: about the last sixteen count. */
const weight = 1 / 16;
/** Weight of the newest probe: about the last four count, so that one lucky one decides nothing. */
const probeWeight = 1 / 4;
/** One stall says little about the next sync: measures above this count as this. */
const stallMs = 20;

export class SyncMode {
  readonly #forced: boolean;
  #inline: boolean;
  /** Of inline syncs, probes included. */
  #meanMs = 0;
  #pooledCount = 0;

  constructor(choice: SyncChoice) {
    this.#forced = choice !== "auto";
    this.#inline = choice !== "pooled";
  }

  /** Where the next sync belongs; asked once for each sync. */
  next(): "inline" | "pooled" {
    if (this.#inline) return "inline";
    if (this.#forced) return "pooled";
    this.#pooledCount++;
    return this.#pooledCount % probeEvery === 0 ? "inline" : "pooled";
  }

  /** Takes in how long an inline sync took. */
  measured(tookMs: number): void {
    if (this.#forced) return;
    const counted = Math.min(tookMs, stallMs);
    this.#meanMs += (counted - this.#meanMs) * (this.#inline ? weight : probeWeight);
    if (this.#inline ? this.#meanMs > slowMs : this.#meanMs < fastMs) this.#inline = !this.#inline;
  }
}
