// The watchers of one client stream, and how it hears of them.
import type { EventMessage } from "./message.ts";
import type { Watcher, WatcherId } from "./watcher.ts";

/**
 * The client's side of a stream. None of these may call back into the hub. Each but the last tells by
 * false that the client takes no more for now; `WatchStream.drained` says when it does again.
 */
export interface WatchSink {
  onEvents(id: WatcherId, message: EventMessage): boolean;
  /** The watcher is gone: what it needs next is below `compactRevision`. */
  onCompacted(id: WatcherId, compactRevision: number): boolean;
  /** Everything up to `revision` was sent to the watcher; without an id to all of the stream. */
  onProgress(id: WatcherId | undefined, revision: number): boolean;
  /** The member stops: nothing more will come. */
  onStopped(): void;
}

export interface WatchWants {
  /** Events with the pair before, where there was one that is not compacted. */
  readonly prevKv: boolean;
  readonly noPut: boolean;
  readonly noDelete: boolean;
  /** The client joins what is cut for its length. */
  readonly fragment: boolean;
  /** Word from time to time that nothing happens. */
  readonly progress: boolean;
}

export interface WatchSpec {
  readonly key: Uint8Array;
  /** Empty: the one key. One zero byte: all keys from `key` on. */
  readonly rangeEnd: Uint8Array;
  /** First revision wanted, from 1; 0: what comes after now. */
  readonly start: number;
  readonly wants: WatchWants;
  /** 0: the next free one. */
  readonly id: WatcherId;
}

export type CreateRefusal = "emptyRange" | "duplicateId" | "tooMany";
export type CreateResult = WatcherId | CreateRefusal;

/** What the streams need of their hub. */
export interface StreamHost {
  create(stream: WatchStream, spec: WatchSpec): CreateResult;
  remove(watcher: Watcher): void;
  requestProgress(stream: WatchStream): void;
  drained(stream: WatchStream): void;
  close(stream: WatchStream): void;
}

export class WatchStream {
  readonly sink: WatchSink;
  readonly #host: StreamHost;
  readonly watchers = new Map<WatcherId, Watcher>();
  /** Those that want to hear of progress. */
  readonly notified = new Set<Watcher>();
  /** Behind, and waiting for `drained`. */
  readonly parked = new Set<Watcher>();
  /** Ids of those that were told of a compaction: in use until the client cancels them, as in etcd. */
  readonly compacted = new Set<WatcherId>();
  /** Watchers that are not live. */
  behindCount = 0;
  /** Events that were written since the client takes no more. */
  waitingEvents = 0;
  /** The client takes nothing at the moment. */
  stalled = false;
  /** No watcher wants to begin after this; stale when it is large. */
  latestStart = 0;
  /** Tick of the next progress messages. */
  progressDue = 0;
  #nextId = 0;

  constructor(host: StreamHost, sink: WatchSink) {
    this.#host = host;
    this.sink = sink;
  }

  /** Sends nothing by itself: the first event comes in a later turn, or in this one's end. */
  create(spec: WatchSpec): CreateResult {
    return this.#host.create(this, spec);
  }

  isUsed(id: WatcherId): boolean {
    return this.watchers.has(id) || this.compacted.has(id);
  }

  /** Ids in use. */
  get idCount(): number {
    return this.watchers.size + this.compacted.size;
  }

  /** @returns false when there is no such watcher. */
  cancel(id: WatcherId): boolean {
    if (this.compacted.delete(id)) return true;
    const watcher = this.watchers.get(id);
    if (watcher === undefined) return false;
    this.#host.remove(watcher);
    return true;
  }

  /** Asks for one progress message, sent at once if no watcher of the stream is behind. */
  requestProgress(): void {
    this.#host.requestProgress(this);
  }

  /** The client took nothing that was written to it by others. */
  stall(): void {
    this.stalled = true;
  }

  drained(): void {
    this.#host.drained(this);
  }

  /** All watchers go. Idempotent. */
  close(): void {
    this.#host.close(this);
  }

  /** The lowest id that was never picked and is not in use. */
  pickId(): WatcherId {
    while (this.isUsed(this.#nextId)) this.#nextId++;
    return this.#nextId++;
  }
}
