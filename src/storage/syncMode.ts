// Where to sync: on the event loop while the disk is fast, on libuv's pool while it is slow.

/** `auto` measures; the others never change. */
export type SyncChoice = "auto" | "inline" | "pooled";

/** Inline syncs slower than this, on a moving mean, move to the pool. */
const slowMs = 1.5;
/** Pooled syncs faster than this, on a moving mean, move back. The pool adds about 0.05 ms. */
const fastMs = 0.7;
/** A pooled sync may be slow because the pool is busy: try inline once in so many. */
const probeEvery = 1024;
/** Weight of the newest measure: about the last sixteen count. */
const weight = 1 / 16;
/** One stall says little about the next sync: measures above this count as this. */
const stallMs = 20;

export class SyncMode {
  readonly #forced: boolean;
  #inline: boolean;
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

  /** Takes in how long a sync took. */
  measured(where: "inline" | "pooled", tookMs: number): void {
    if (this.#forced) return;
    const probe = where === "inline" && !this.#inline;
    if (probe) {
      if (tookMs < fastMs) this.#enter(true, tookMs);
      return;
    }
    this.#meanMs += (Math.min(tookMs, stallMs) - this.#meanMs) * weight;
    if (this.#inline && this.#meanMs > slowMs) this.#enter(false, slowMs);
    else if (!this.#inline && this.#meanMs < fastMs) this.#enter(true, fastMs);
  }

  #enter(inline: boolean, meanMs: number): void {
    this.#inline = inline;
    this.#meanMs = meanMs;
    this.#pooledCount = 0;
  }
}
