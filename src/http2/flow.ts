// Receive windows: that of the connection, given back in batches, and window lent to long messages.
import { Fifo } from "./fifo.ts";
import { initialWindowBytes } from "./frames.ts";
import type { Http2Stream } from "./stream.ts";

/** Counts what the peer may still send on the connection. */
export class ConnectionWindow {
  readonly #sizeBytes: number;
  #leftBytes: number;

  constructor(sizeBytes: number) {
    this.#sizeBytes = Math.max(sizeBytes, initialWindowBytes);
    this.#leftBytes = this.#sizeBytes;
  }

  /** What the first WINDOW_UPDATE adds to the protocol's initial window. */
  get openingBytes(): number {
    return this.#sizeBytes - initialWindowBytes;
  }

  /** @returns false when the peer sent more than it may. */
  take(bytes: number): boolean {
    this.#leftBytes -= bytes;
    return this.#leftBytes >= 0;
  }

  /** Half is used: time to give back. */
  get isLow(): boolean {
    return this.#leftBytes * 2 <= this.#sizeBytes;
  }

  /** @returns the increment to announce, else 0. */
  giveBack(): number {
    if (!this.isLow) return 0;
    const increment = this.#sizeBytes - this.#leftBytes;
    this.#leftBytes = this.#sizeBytes;
    return increment;
  }
}

/** Announces a larger window on a stream. */
export type Announce = (stream: Http2Stream, bytes: number) => void;

/**
 * A message longer than the initial window borrows the rest, first come, first served: each message
 * that was let in can be finished, so that many long ones at once wait instead of jamming.
 */
export class WindowLender {
  readonly #bytesMax: number;
  readonly #announce: Announce;
  readonly #waiting = new Fifo<{ readonly stream: Http2Stream; readonly bytes: number }>();
  #next: { readonly stream: Http2Stream; readonly bytes: number } | undefined;
  #lentBytes = 0;

  constructor(bytesMax: number, announce: Announce) {
    this.#bytesMax = bytesMax;
    this.#announce = announce;
  }

  request(stream: Http2Stream, bytes: number): void {
    stream.waitsForLoan = true;
    this.#waiting.push({ stream, bytes });
    this.#serve();
  }

  /** The message is complete or its stream is gone. */
  release(stream: Http2Stream): void {
    this.#lentBytes -= stream.lentBytes;
    stream.lentBytes = 0;
    this.#serve();
  }

  #serve(): void {
    for (;;) {
      this.#next ??= this.#waiting.shift();
      if (this.#next === undefined) return;
      const { stream, bytes } = this.#next;
      // A single loan is always granted, whatever the bound.
      const fits = this.#lentBytes === 0 || this.#lentBytes + bytes <= this.#bytesMax;
      if (!stream.closed && !fits) return;
      this.#next = undefined;
      stream.waitsForLoan = false;
      if (!stream.closed) this.#lend(stream, bytes);
    }
  }

  #lend(stream: Http2Stream, bytes: number): void {
    this.#lentBytes += bytes;
    stream.lentBytes += bytes;
    stream.receiveWindow += bytes;
    this.#announce(stream, bytes);
  }
}
