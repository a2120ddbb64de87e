// Between a thread and whoever may end it: what must not be cut off is done behind this gate.

/** Above it: so many pieces of work are under way. */
const nothing = 0;
const closed = -1;

export class ThreadGate {
  /** Shared by both sides. */
  readonly cell: Int32Array<SharedArrayBuffer>;

  constructor(cell = new Int32Array(new SharedArrayBuffer(4))) {
    this.cell = cell;
  }

  /** The thread's side: such work begins. Where the gate is closed the thread stands still until it ends. */
  enter(): void {
    for (;;) {
      Atomics.wait(this.cell, 0, closed);
      const seen = Atomics.load(this.cell, 0);
      if (seen === closed) continue;
      if (Atomics.compareExchange(this.cell, 0, seen, seen + 1) === seen) return;
    }
  }

  /** It is done; once for each `enter`. */
  leave(): void {
    Atomics.sub(this.cell, 0, 1);
  }

  /** The other side: no such work begins from now on. @returns false while some is under way. */
  close(): boolean {
    return Atomics.compareExchange(this.cell, 0, nothing, closed) <= nothing;
  }
}
