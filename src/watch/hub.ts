// All watchers of a member. Each change finds its watchers by key; what a turn changed is sent at the
// end of it, one message for all watchers alike. Who cannot take it, or starts in the past, reads
// history: see catchUp.ts.
//
//            create at now ──► live ◄── history read to its end ── behind ◄── create in the past
//                               │                                    ▲ │
//                               └── its stream takes no more ──► parked ◄┘
//                                                      └── drained ──┘

import { Revision } from "../base/brand.ts";
import { toLatin1 } from "../base/bytes.ts";
import type { Random } from "../base/ports.ts";
import { type Interval, RangeTree } from "../base/rangeTree.ts";
import { keyRange } from "../mvcc/readView.ts";
import type { Change } from "../mvcc/state.ts";
import type { Store } from "../mvcc/store.ts";
import { CatchUp } from "./catchUp.ts";
import { type EncodeEvent, type EventCoding, WatchEvent } from "./event.ts";
import { Backlog, type EventMessage } from "./message.ts";
import {
  type CreateResult,
  type StreamHost,
  type WatchSink,
  type WatchSpec,
  WatchStream,
} from "./stream.ts";
import { bitsOf, Pace, Span, Want, Watcher } from "./watcher.ts";

export interface WatchLimits {
  readonly watchersMax: number;
  readonly watchersPerStreamMax: number;
  /** Keys and range ends of all watchers. */
  readonly keyBytesMax: number;
}

export const defaultWatchLimits: WatchLimits = {
  watchersMax: 1_000_000,
  watchersPerStreamMax: 250_000,
  keyBytesMax: 256 << 20,
};

export interface WatchHubOptions {
  readonly store: Store;
  readonly encode: EncodeEvent;
  readonly random: Random;
  /** Asks for a `turn()` soon. */
  readonly wake: () => void;
  /** Between two progress messages to an idle watcher; up to a tenth more for each stream. */
  readonly progressTicks: number;
  readonly limits?: Partial<WatchLimits>;
}

export class WatchHub implements StreamHost {
  readonly #options: WatchHubOptions;
  readonly #limits: WatchLimits;
  readonly #tree = new RangeTree<Span>();
  readonly #streams = new Set<WatchStream>();
  /** Streams with watchers that want to hear of progress. */
  readonly #notified = new Set<WatchStream>();
  readonly #behind: CatchUp;
  readonly #coding: EventCoding;
  #store: Store;
  #stopListening: (() => void) | undefined;
  #watcherCount = 0;
  #eventCount = 0;
  #keyBytes = 0;
  /** Spans with fresh changes, and the last revision that came. */
  #fresh: Span[] = [];
  #heard = 0;
  /** Live watchers have everything up to this revision. */
  #delivered = 0;
  #ticks = 0;
  #progressDue = Number.POSITIVE_INFINITY;

  constructor(options: WatchHubOptions) {
    this.#options = options;
    this.#limits = { ...defaultWatchLimits, ...options.limits };
    this.#store = options.store;
    this.#coding = {
      encode: options.encode,
      readRow: (key, revision) => this.#readRow(key, revision),
    };
    this.#behind = new CatchUp({
      tree: this.#tree,
      send: (watcher, messages) => this.#send(watcher, messages),
      onCompacted: (watcher, floor) => this.#onCompacted(watcher, floor),
      onCaughtUp: (watcher) => this.#goLive(watcher),
      coding: this.#coding,
    });
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  /** Events handed to streams in this life. */
  get eventCount(): number {
    return this.#eventCount;
  }

  /** Events that wait: for the end of this turn, or with streams that take no more at the moment. */
  get pendingEventCount(): number {
    let count = 0;
    for (const span of this.#fresh) count += (span.fresh?.length ?? 0) * span.live.length;
    for (const stream of this.#streams) count += stream.waitingEvents;
    return count;
  }

  get watcherCount(): number {
    return this.#watcherCount;
  }

  /** Watchers that read history at the moment, or wait for their stream. */
  get behindCount(): number {
    let count = 0;
    for (const stream of this.#streams) count += stream.behindCount;
    return count;
  }

  open(sink: WatchSink): WatchStream {
    const stream = new WatchStream(this, sink);
    this.#streams.add(stream);
    return stream;
  }

  /** Sends what the turn changed and reads a bounded piece of history. @returns true: more to do now. */
  turn(): boolean {
    this.#deliver();
    return this.#behind.round(this.#store);
  }

  /** One tick of the member: progress of idle watchers. */
  tick(): void {
    this.#ticks++;
    if (this.#ticks < this.#progressDue) return;
    this.#deliver();
    this.#progressDue = Number.POSITIVE_INFINITY;
    for (const stream of this.#notified) {
      if (stream.progressDue <= this.#ticks) {
        stream.progressDue += this.#options.progressTicks;
        this.#tellProgress(stream);
      }
      this.#progressDue = Math.min(this.#progressDue, stream.progressDue);
    }
  }

  /** The state was replaced by a newer one: everybody catches up from where they are. */
  rebind(store: Store): void {
    for (const span of this.#fresh) span.fresh = undefined;
    this.#fresh = [];
    this.#stopListening?.();
    this.#stopListening = undefined;
    this.#store = store;
    for (const stream of this.#streams) {
      for (const watcher of stream.watchers.values()) {
        if (watcher.pace === Pace.live) this.#fallBehind(watcher, this.#delivered + 1);
      }
    }
    this.#delivered = store.revision;
    this.#listenIfNeeded();
    this.#options.wake();
  }

  /** Every stream is told, and has no watchers any more. */
  stop(): void {
    for (const stream of [...this.#streams]) {
      this.close(stream);
      stream.sink.onStopped();
    }
  }

  /** @see WatchStream.create */
  create(stream: WatchStream, spec: WatchSpec): CreateResult {
    const interval = intervalOf(spec);
    if (interval.to !== undefined && interval.to <= interval.from) return "emptyRange";
    if (spec.id !== 0 && stream.isUsed(spec.id)) return "duplicateId";
    const bytes = keyBytesOf(interval);
    if (
      this.#watcherCount >= this.#limits.watchersMax ||
      stream.idCount >= this.#limits.watchersPerStreamMax ||
      this.#keyBytes + bytes > this.#limits.keyBytesMax
    ) {
      return "tooMany";
    }
    this.#deliver();
    const revision = this.#store.revision;
    const next = spec.start === 0 ? revision + 1 : spec.start;
    const id = spec.id === 0 ? stream.pickId() : spec.id;
    const wants = bitsOf(spec.wants);
    const watcher = new Watcher({ id, stream, span: this.#spanOf(interval), wants, next });
    stream.watchers.set(id, watcher);
    stream.latestStart = Math.max(stream.latestStart, next);
    this.#watcherCount++;
    this.#keyBytes += bytes;
    if ((wants & Want.progress) !== 0) this.#notify(watcher);
    if (next > revision) watcher.span.add(watcher);
    else this.#addBehind(watcher);
    this.#listenIfNeeded();
    return id;
  }

  /** @see WatchStream.cancel */
  remove(watcher: Watcher): void {
    const { stream, span } = watcher;
    stream.watchers.delete(watcher.id);
    if (stream.notified.delete(watcher) && stream.notified.size === 0)
      this.#notified.delete(stream);
    span.remove(watcher);
    if (watcher.pace !== Pace.live) {
      stream.behindCount--;
      stream.parked.delete(watcher);
      this.#behind.delete(watcher);
    }
    if (span.isEmpty) this.#tree.delete(span.interval);
    this.#keyBytes -= keyBytesOf(span.interval);
    this.#watcherCount--;
    if (this.#watcherCount === 0) {
      this.#stopListening?.();
      this.#stopListening = undefined;
    }
  }

  /** @see WatchStream.requestProgress */
  requestProgress(stream: WatchStream): void {
    this.#deliver();
    const { revision } = this.#store;
    if (stream.behindCount > 0 || stream.watchers.size === 0) return;
    if (stream.latestStart > revision + 1) {
      // It may be that of a watcher that is gone.
      stream.latestStart = 0;
      for (const { next } of stream.watchers.values()) {
        stream.latestStart = Math.max(stream.latestStart, next);
      }
      if (stream.latestStart > revision + 1) return;
    }
    if (!stream.sink.onProgress(undefined, revision)) stream.stalled = true;
  }

  /** @see WatchStream.drained */
  drained(stream: WatchStream): void {
    stream.stalled = false;
    stream.waitingEvents = 0;
    if (stream.parked.size === 0) return;
    for (const watcher of stream.parked) {
      watcher.pace = Pace.behind;
      this.#behind.add(watcher);
    }
    stream.parked.clear();
    this.#options.wake();
  }

  /** @see WatchStream.close */
  close(stream: WatchStream): void {
    for (const watcher of stream.watchers.values()) this.remove(watcher);
    this.#streams.delete(stream);
  }

  #spanOf(interval: Interval): Span {
    const known = this.#tree.get(interval);
    if (known !== undefined) return known;
    const span = new Span(interval);
    this.#tree.add(interval, span);
    return span;
  }

  #listenIfNeeded(): void {
    if (this.#watcherCount === 0 || this.#stopListening !== undefined) return;
    this.#delivered = this.#heard = this.#store.revision;
    this.#stopListening = this.#store.listen({
      onChanges: (revision, changes) => this.#onChanges(revision, changes),
    });
  }

  #onChanges(revision: number, changes: readonly Change[]): void {
    this.#heard = revision;
    for (const { kind, key, row } of changes) {
      let event: WatchEvent | undefined;
      this.#tree.visit(key, (span) => {
        if (span.live.length === 0) return;
        event ??= new WatchEvent({ revision, kind, key, row });
        if (span.fresh !== undefined) span.fresh.push(event);
        else {
          span.fresh = [event];
          this.#fresh.push(span);
        }
      });
    }
  }

  #deliver(): void {
    if (this.#fresh.length > 0) {
      const spans = this.#fresh;
      this.#fresh = [];
      for (const span of spans) this.#deliverTo(span);
    }
    this.#delivered = this.#heard;
  }

  #deliverTo(span: Span): void {
    const backlog = new Backlog(span.fresh ?? []);
    span.fresh = undefined;
    // One that falls behind leaves its place to another.
    for (let i = 0; i < span.live.length; ) {
      const watcher = span.live[i];
      if (watcher === undefined) break;
      this.#send(watcher, backlog.messages(watcher, this.#coding, undefined));
      if (span.live[i] === watcher) i++;
    }
  }

  /** Sends as much as the stream takes. @returns bytes sent; what is left puts the watcher behind. */
  #send(watcher: Watcher, messages: readonly EventMessage[]): number {
    const { stream } = watcher;
    let bytes = 0;
    let within = false;
    for (const message of messages) {
      if (stream.stalled && !within) {
        this.#fallBehind(watcher, message.first);
        return bytes;
      }
      this.#eventCount += message.events.length;
      if (!stream.sink.onEvents(watcher.id, message)) stream.stalled = true;
      if (stream.stalled) stream.waitingEvents += message.events.length;
      watcher.spoke = true;
      within = message.fragment;
      bytes += message.bytes;
    }
    return bytes;
  }

  /** From now on the watcher is nothing but the revision it needs next. */
  #fallBehind(watcher: Watcher, next: number): void {
    watcher.next = Math.max(watcher.next, next);
    if (watcher.pace === Pace.live) {
      watcher.span.remove(watcher);
      this.#addBehind(watcher);
    } else {
      this.#behind.delete(watcher);
      this.#queue(watcher);
    }
  }

  #addBehind(watcher: Watcher): void {
    watcher.pace = Pace.behind;
    watcher.span.add(watcher);
    watcher.stream.behindCount++;
    this.#queue(watcher);
  }

  #queue(watcher: Watcher): void {
    if (watcher.stream.stalled) {
      watcher.pace = Pace.parked;
      watcher.stream.parked.add(watcher);
    } else {
      this.#behind.add(watcher);
      this.#options.wake();
    }
  }

  #goLive(watcher: Watcher): void {
    watcher.span.remove(watcher);
    watcher.pace = Pace.live;
    watcher.span.add(watcher);
    watcher.stream.behindCount--;
  }

  #onCompacted(watcher: Watcher, floor: number): void {
    this.remove(watcher);
    const { stream, id } = watcher;
    stream.compacted.add(id);
    if (!stream.sink.onCompacted(id, floor)) stream.stalled = true;
  }

  #notify(watcher: Watcher): void {
    const { stream } = watcher;
    const { random, progressTicks } = this.#options;
    stream.notified.add(watcher);
    if (this.#notified.has(stream)) return;
    this.#notified.add(stream);
    const jitter = random.integer(Math.floor(progressTicks / 10) + 1);
    stream.progressDue = this.#ticks + progressTicks + jitter;
    this.#progressDue = Math.min(this.#progressDue, stream.progressDue);
  }

  #tellProgress(stream: WatchStream): void {
    const { revision } = this.#store;
    for (const watcher of stream.notified) {
      if (stream.stalled) return;
      const idle = !watcher.spoke;
      watcher.spoke = false;
      if (!idle || watcher.pace !== Pace.live || watcher.next > revision + 1) continue;
      if (!stream.sink.onProgress(watcher.id, revision)) stream.stalled = true;
    }
  }

  #readRow(key: string, revision: number): Uint8Array | undefined {
    if (revision <= 0 || this.#store.read.refusalAt(revision) !== undefined) return undefined;
    return this.#store.read.rowAt(key, Revision(revision));
  }
}

const keyBytesOf = ({ from, to }: Interval): number => from.length + (to?.length ?? 0);

function intervalOf({ key, rangeEnd }: WatchSpec): Interval {
  const { from, to } = keyRange(key, rangeEnd);
  return { from: toLatin1(from), to: to && toLatin1(to) };
}
