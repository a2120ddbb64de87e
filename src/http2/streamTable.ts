// The open streams of a connection, and a short memory of how the last ones closed.
import type { Http2Stream } from "./stream.ts";

/** How a stream ended, which decides what a late frame for it means (RFC 9113, 5.1). */
export const ClosedBy = {
  /** Forgotten, or its id was skipped. */
  unknown: 0,
  /** Both sides ended it. */
  ends: 1,
  /** We reset it: frames already on their way are ignored. */
  ourReset: 2,
  peerReset: 3,
} as const;
export type ClosedBy = (typeof ClosedBy)[keyof typeof ClosedBy];

const remembered = 1024;

export class StreamTable {
  readonly #open = new Map<number, Http2Stream>();
  readonly #closedIds = new Uint32Array(remembered);
  readonly #closedBy = new Uint8Array(remembered);
  #closedNext = 0;
  /** Highest id the peer has used. */
  lastId = 0;

  get size(): number {
    return this.#open.size;
  }

  get(id: number): Http2Stream | undefined {
    return this.#open.get(id);
  }

  add(stream: Http2Stream): void {
    this.#open.set(stream.id, stream);
  }

  all(): IterableIterator<Http2Stream> {
    return this.#open.values();
  }

  close(id: number, by: ClosedBy): void {
    this.#open.delete(id);
    const slot = this.#closedNext;
    this.#closedIds[slot] = id;
    this.#closedBy[slot] = by;
    this.#closedNext = (slot + 1) % remembered;
  }

  /** For an id up to `lastId` that is not open. */
  closedBy(id: number): ClosedBy {
    const slot = this.#closedIds.lastIndexOf(id);
    return slot < 0 ? ClosedBy.unknown : ((this.#closedBy[slot] ?? 0) as ClosedBy);
  }
}
