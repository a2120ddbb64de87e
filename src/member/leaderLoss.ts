// Calls that end when the member has known no leader for a while (`hasleader: true`).

/** Election timeouts without a leader after which such calls end, as in etcd. */
const electionTimeoutsMax = 3;

export class LeaderLoss {
  readonly #ticksMax: number;
  #waiting = new Set<() => void>();
  #ticks = 0;

  constructor(options: { readonly electionTicks: number }) {
    this.#ticksMax = electionTimeoutsMax * options.electionTicks;
  }

  /** @returns how to withdraw; `onLost` is called at most once. */
  add(onLost: () => void): () => void {
    // One caller may wait twice with the same function.
    const entry = (): void => onLost();
    this.#waiting.add(entry);
    return () => void this.#waiting.delete(entry);
  }

  tick(hasLeader: boolean): void {
    this.#ticks = hasLeader ? 0 : this.#ticks + 1;
    if (this.#ticks < this.#ticksMax || this.#waiting.size === 0) return;
    const lost = this.#waiting;
    this.#waiting = new Set();
    for (const onLost of lost) onLost();
  }
}
