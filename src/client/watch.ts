// One watch, as its reader sees it: events in the order of their revisions, without loss or repeat,
// whatever becomes of members and connections meanwhile.
//
//   client.watch() ──► live ◄── read empty ── parked      a parked watch is cancelled at the member and
//                       │  └──── buffer full ───▲         begins again, in the past, once it is read
//                       └── close, abort, compacted, refused ──► over
import { type EtcdError, errCanceled } from "../base/errors.ts";
import type { WatchCreateRequest, WatchEventMessage } from "../proto/watch.ts";
import { WatchFilter } from "../proto/watch.ts";
import { type KeyRange, rangeOf } from "./requests.ts";
import { batchBytes, toEvent, type WatchBatch, type WatchEvent } from "./watchEvent.ts";

export interface WatchOptions {
  /** First revision wanted, past or future. Default: what comes after now. */
  readonly from?: number;
  /** Events with the pair before. */
  readonly previous?: boolean;
  readonly filters?: readonly (keyof typeof WatchFilter)[];
  /** `batches` also gives a batch without events from time to time when nothing happens. */
  readonly progress?: boolean;
  /** Aborting fails the reader with CANCELLED. */
  readonly signal?: AbortSignal;
  /** What may wait for the reader; more is left with the members. Default 8 MiB. */
  readonly bufferBytesMax?: number;
}

const bufferBytesMaxDefault = 8 << 20;

/** Who keeps the watch alive at the members. */
export interface WatchHost {
  /** Begins, or begins again, after what was received so far. */
  begin(watch: Watch): void;
  /** The watch hears nothing more until it begins again. */
  leave(watch: Watch): void;
}

interface Waiter {
  resolve(batch: WatchBatch | undefined): void;
  reject(error: EtcdError): void;
}

export class Watch implements AsyncIterable<WatchEvent> {
  readonly #host: WatchHost;
  readonly #options: WatchOptions;
  readonly #range: ReturnType<typeof rangeOf>;
  readonly #onAbort: () => void;
  /** Everything up to here is in the buffer or was read; undefined: not known yet. */
  #received: number | undefined;
  #read = 0;
  #buffer: WatchBatch[] = [];
  #bufferedBytes = 0;
  #taken = false;
  #parked = false;
  #over = false;
  #failure: EtcdError | undefined;
  readonly #waiters: Waiter[] = [];
  readonly #awaitReady: Waiter[] = [];

  constructor(range: KeyRange, options: WatchOptions, host: WatchHost) {
    this.#range = rangeOf(range);
    this.#options = options;
    this.#host = host;
    if (options.from !== undefined && options.from > 0) this.#received = options.from - 1;
    this.#onAbort = () => this.#end(errCanceled, { drop: true });
    const { signal } = options;
    if (signal?.aborted) this.#end(errCanceled, { drop: true });
    else {
      signal?.addEventListener("abort", this.#onAbort, { once: true });
      host.begin(this);
    }
  }

  /**
   * The first revision that is sure to be told, once a member has taken the watch. A watch without
   * `from` begins there: what is put after this resolved is seen.
   */
  async ready(): Promise<number> {
    if (!this.#taken) {
      await new Promise<WatchBatch | undefined>((resolve, reject) => {
        if (this.#over) reject(this.#failure ?? errCanceled);
        else this.#awaitReady.push({ resolve, reject });
      });
    }
    return (this.#received ?? 0) + 1;
  }

  /** Everything up to this revision was given to the reader. */
  get revision(): number {
    return this.#read;
  }

  /** Ends it: the reader gets nothing more. */
  close(): void {
    this.#end(undefined, { drop: true });
  }

  /** Revision by revision. Of all readers of a watch each batch goes to one. */
  batches(): AsyncIterableIterator<WatchBatch> {
    const iterator: AsyncIterableIterator<WatchBatch> = {
      next: async () => {
        const batch = await this.#take();
        return batch === undefined ? over : { done: false, value: batch };
      },
      return: async () => {
        this.close();
        return over;
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  /** Event by event. */
  [Symbol.asyncIterator](): AsyncIterator<WatchEvent> {
    let batch: WatchBatch | undefined;
    let at = 0;
    const next = async (): Promise<IteratorResult<WatchEvent, undefined>> => {
      for (;;) {
        const value = batch?.events[at++];
        if (value !== undefined) return { done: false, value };
        batch = await this.#take();
        at = 0;
        if (batch === undefined) return over;
      }
    };
    return {
      next,
      return: async () => {
        this.close();
        return over;
      },
    };
  }

  /** What to ask of a member now. */
  request(watchId: number): WatchCreateRequest {
    const { previous, filters = [] } = this.#options;
    return {
      ...this.#range,
      startRevision: this.#received === undefined ? 0 : this.#received + 1,
      // Also for those that do not ask: a watch that is idle for days resumes after a compaction.
      progressNotify: true,
      filters: filters.map((name) => WatchFilter[name]),
      prevKv: previous ?? false,
      watchId,
      fragment: false,
    };
  }

  /** The member began after `revision`, unless it was told where. */
  onCreated(revision: number): void {
    this.#taken = true;
    this.#received ??= revision;
    for (const { resolve } of this.#awaitReady.splice(0)) resolve(undefined);
  }

  onEvents(messages: readonly WatchEventMessage[]): void {
    let events: WatchEvent[] = [];
    let revision = 0;
    for (const message of messages) {
      const event = toEvent(message);
      const { modRevision } = event.pair;
      // Told already, before the member changed.
      if (modRevision <= (this.#received ?? 0)) continue;
      if (modRevision !== revision && events.length > 0) {
        this.#push({ revision, events });
        events = [];
      }
      revision = modRevision;
      events.push(event);
    }
    if (events.length > 0) {
      this.#push({ revision, events });
      this.#received = revision;
    }
    this.#parkIfFull();
  }

  onProgress(revision: number): void {
    if (revision <= (this.#received ?? 0)) return;
    this.#received = revision;
    if (this.#options.progress) {
      this.#push({ revision, events: [] });
      this.#parkIfFull();
    } else if (this.#buffer.length === 0) this.#read = revision;
  }

  /** What was received is still read, then the reader fails. */
  onFailed(error: EtcdError): void {
    this.#end(error, { drop: false });
  }

  #push(batch: WatchBatch): void {
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      this.#read = batch.revision;
      waiter.resolve(batch);
      return;
    }
    this.#buffer.push(batch);
    this.#bufferedBytes += batchBytes(batch);
  }

  #parkIfFull(): void {
    const { bufferBytesMax = bufferBytesMaxDefault } = this.#options;
    if (this.#parked || this.#over || this.#bufferedBytes <= bufferBytesMax) return;
    this.#parked = true;
    this.#host.leave(this);
  }

  /** @returns undefined at the end. */
  #take(): Promise<WatchBatch | undefined> {
    const batch = this.#buffer.shift();
    if (batch !== undefined) {
      this.#bufferedBytes -= batchBytes(batch);
      this.#read = batch.revision;
      if (this.#buffer.length === 0) this.#unpark();
      return Promise.resolve(batch);
    }
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) return Promise.reject(failure);
    if (this.#over) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  #unpark(): void {
    if (!this.#parked || this.#over) return;
    this.#parked = false;
    this.#host.begin(this);
  }

  #end(error: EtcdError | undefined, { drop }: { drop: boolean }): void {
    if (drop) {
      this.#buffer = [];
      this.#bufferedBytes = 0;
    }
    if (this.#over) return;
    this.#over = true;
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#host.leave(this);
    const [first, ...rest] = this.#waiters.splice(0);
    if (error === undefined || first === undefined) this.#failure = error;
    if (error === undefined) first?.resolve(undefined);
    else first?.reject(error);
    for (const waiter of rest) waiter.resolve(undefined);
    for (const waiter of this.#awaitReady.splice(0)) waiter.reject(error ?? errCanceled);
  }
}

const over = { done: true, value: undefined } as const;
