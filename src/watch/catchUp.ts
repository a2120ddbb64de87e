// Watchers that are behind read history together: a round reads one bounded piece, from the revision
// that the longest waiting of them needs, for everybody whose position lies within the piece.
import { Revision } from "../base/brand.ts";
import type { RangeTree } from "../base/rangeTree.ts";
import { isTombstone, rowKeyText, rowOfStored } from "../mvcc/row.ts";
import type { Store } from "../mvcc/store.ts";
import { type EventCoding, WatchEvent } from "./event.ts";
import { Backlog, type EventMessage, messageRevisionsMax } from "./message.ts";
import { Pace, type Span, type Watcher } from "./watcher.ts";

/** A round that has reached one of these ends with the revision it is in. */
export const roundRowsMax = 8192;
export const roundBytesMax = 1 << 20;
/** Events, each counted for every span that it was found for. */
export const roundFindsMax = 65_536;
/** Bytes that a round hands to streams; the watchers left wait for the next. */
export const roundSentBytesMax = 16 << 20;

export interface CatchUpHost {
  readonly tree: RangeTree<Span>;
  readonly coding: EventCoding;
  /** Sends what the stream takes; moves the watcher away if that is not all. @returns bytes sent. */
  send(watcher: Watcher, messages: readonly EventMessage[]): number;
  onCompacted(watcher: Watcher, floor: number): void;
  onCaughtUp(watcher: Watcher): void;
}

/** What a round read: all of history in [from, last]. */
interface Piece {
  readonly from: number;
  readonly last: number;
  readonly spans: readonly Span[];
}

export class CatchUp {
  readonly #host: CatchUpHost;
  /** In the order of waiting. */
  readonly #queue = new Set<Watcher>();

  constructor(host: CatchUpHost) {
    this.#host = host;
  }

  add(watcher: Watcher): void {
    this.#queue.add(watcher);
  }

  delete(watcher: Watcher): void {
    this.#queue.delete(watcher);
  }

  /** @returns true when another round has something to do now. */
  round(store: Store): boolean {
    if (this.#queue.size === 0) return false;
    this.#cancelBelow(store.compactedRevision);
    const [longest] = this.#queue;
    if (longest === undefined) return false;
    const piece = this.#read(store, longest.next);
    this.#distribute(piece, store.revision);
    for (const span of piece.spans) span.found = undefined;
    return this.#queue.size > 0;
  }

  /** What these need may be gone, in part or as a whole: they get nothing more but that word. */
  #cancelBelow(floor: number): void {
    for (const watcher of this.#queue) {
      if (watcher.next < floor) this.#host.onCompacted(watcher, floor);
    }
  }

  #read(store: Store, from: number): Piece {
    const spans: Span[] = [];
    let last: number = store.revision;
    let current = 0;
    let revisions = 0;
    let rows = 0;
    let bytes = 0;
    let finds = 0;
    if (from > last) return { from, last, spans };
    store.history(Revision(from), (main, _sub, stored) => {
      if (main !== current) {
        const full =
          revisions === messageRevisionsMax ||
          rows >= roundRowsMax ||
          bytes >= roundBytesMax ||
          finds >= roundFindsMax;
        if (full) {
          last = main - 1;
          return false;
        }
        current = main;
        revisions++;
      }
      rows++;
      const found = this.#find(main, stored, spans);
      if (found > 0) bytes += stored.length;
      finds += found;
      return true;
    });
    return { from, last, spans };
  }

  /** @returns for how many spans the row was kept. */
  #find(revision: number, stored: Uint8Array, spans: Span[]): number {
    const borrowed = rowOfStored(stored);
    const key = rowKeyText(borrowed);
    const kind = isTombstone(stored) ? "delete" : "put";
    let event: WatchEvent | undefined;
    let count = 0;
    this.#host.tree.visit(key, (span) => {
      if (span.behind.length === 0) return;
      event ??= new WatchEvent({ revision, kind, key, row: Buffer.from(borrowed) });
      if (span.found !== undefined) span.found.events.push(event);
      else {
        span.found = new Backlog([event]);
        spans.push(span);
      }
      count++;
    });
    return count;
  }

  #distribute({ from, last }: Piece, revision: number): void {
    const ready: Watcher[] = [];
    for (const watcher of this.#queue) {
      const { next } = watcher;
      if ((next >= from && next <= last + 1) || next > revision) ready.push(watcher);
    }
    let sentBytes = 0;
    for (const watcher of ready) {
      if (sentBytes >= roundSentBytesMax) return;
      sentBytes += this.#advance(watcher, last, revision);
    }
  }

  #advance(watcher: Watcher, last: number, revision: number): number {
    const messages = watcher.span.found?.messages(watcher, this.#host.coding, revision) ?? [];
    const sentBytes = this.#host.send(watcher, messages);
    // It has stopped on the way, where its stream did.
    if (watcher.pace === Pace.parked) return sentBytes;
    watcher.next = Math.max(watcher.next, last + 1);
    this.#queue.delete(watcher);
    if (watcher.next > revision) this.#host.onCaughtUp(watcher);
    else this.#queue.add(watcher);
    return sentBytes;
  }
}
