// All watches of a client: they share one stream, to the leader where that is known. When it ends, they
// begin again on another, each after what it has received.
import {
  EtcdError,
  errMalformed,
  errStopped,
  reasonDuplicateId,
  reasonEmptyRange,
  StatusCode,
} from "../base/errors.ts";
import { Malformed } from "../proto/reader.ts";
import type { WatchResponse } from "../proto/watch.ts";
import { decodeWatchResponse, encodeWatchRequest } from "../proto/watchCodec.ts";
import { Writer } from "../proto/writer.ts";
import type { Channel, ClientStream } from "./channel.ts";
import type { KeyRange } from "./requests.ts";
import { ownAnswer } from "./results.ts";
import { Backoff, errStreamEnded, isTransient } from "./retry.ts";
import { Watch, type WatchHost, type WatchOptions } from "./watch.ts";
import { CompactedError } from "./watchEvent.ts";

const path = "/etcdserverpb.Watch/Watch";
/** Stands for the whole stream. */
const wholeStream = -1;

export class WatchPool implements WatchHost {
  readonly #channel: Channel;
  readonly #writer = new Writer();
  readonly #backoff = new Backoff();
  /** On the stream, by their number there. */
  readonly #live = new Map<number, Watch>();
  readonly #ids = new Map<Watch, number>();
  /** Asked for and not confirmed; members answer in the order of the questions. */
  #asked: number[] = [];
  /** Without a stream. */
  readonly #waiting = new Set<Watch>();
  #stream: ClientStream | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lastId = 0;
  #closed = false;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  watch(range: KeyRange, options: WatchOptions): Watch {
    return new Watch(range, options, this);
  }

  begin(watch: Watch): void {
    if (this.#closed) {
      queueMicrotask(() => watch.onFailed(errStopped));
      return;
    }
    this.#waiting.add(watch);
    // A pause after a failure holds for those that come meanwhile as well.
    if (this.#timer === undefined) this.#createAll();
  }

  leave(watch: Watch): void {
    this.#waiting.delete(watch);
    const id = this.#ids.get(watch);
    if (id !== undefined) {
      this.#forget(watch, id);
      this.#cancel(id);
    }
    if (this.#live.size === 0 && this.#waiting.size === 0) this.#closeIfIdle();
  }

  /** Every watch fails. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#stream?.cancel();
    this.#stream = undefined;
    this.#failAll(errStopped);
  }

  #createAll(): void {
    if (this.#waiting.size === 0) return;
    this.#stream ??= this.#open();
    for (const watch of this.#waiting) {
      const id = ++this.#lastId;
      this.#live.set(id, watch);
      this.#ids.set(watch, id);
      this.#asked.push(id);
      const create = watch.request(id);
      this.#stream.send(encodeWatchRequest(this.#writer, { kind: "create", create }));
    }
    this.#waiting.clear();
  }

  #open(): ClientStream {
    let stream: ClientStream | undefined;
    const isCurrent = (): boolean => stream !== undefined && stream === this.#stream;
    stream = this.#channel.stream(
      path,
      {
        onMessage: (message) => {
          if (isCurrent()) this.#onMessage(message);
        },
        onEnd: (error) => {
          if (isCurrent()) this.#onEnd(error ?? errStreamEnded);
        },
      },
      { followsLeader: true },
    );
    return stream;
  }

  #onMessage(message: Uint8Array): void {
    const response = decodeWatchResponse(ownAnswer(message));
    if (response instanceof Malformed) {
      this.#stream?.cancel();
      this.#stream = undefined;
      this.#failAll(errMalformed(response.why));
      return;
    }
    this.#backoff.succeeded();
    if (response.created) this.#onCreated(response);
    else if (response.watchId === wholeStream) this.#onProgress(response.header.revision);
    else this.#onNews(response);
  }

  #onCreated(response: WatchResponse): void {
    const id = this.#asked.shift() ?? wholeStream;
    const watch = this.#live.get(id);
    if (watch === undefined) return;
    if (!response.canceled) watch.onCreated(response.header.revision);
    else this.#fail(watch, id, refusalOf(response.cancelReason));
  }

  #onNews(response: WatchResponse): void {
    const id = Number(response.watchId);
    const watch = this.#live.get(id);
    if (watch === undefined) return;
    const { canceled, compactRevision, cancelReason, events, header } = response;
    if (canceled && compactRevision > 0) {
      this.#cancel(id);
      this.#fail(watch, id, new CompactedError(compactRevision));
    } else if (canceled) this.#fail(watch, id, refusalOf(cancelReason));
    else if (events.length > 0) watch.onEvents(events);
    else watch.onProgress(header.revision);
  }

  #onProgress(revision: number): void {
    const unconfirmed = new Set(this.#asked);
    for (const [id, watch] of this.#live) if (!unconfirmed.has(id)) watch.onProgress(revision);
  }

  #onEnd(error: EtcdError): void {
    this.#stream = undefined;
    if (this.#channel.closed || !isTransient(error)) {
      this.#failAll(this.#channel.closed ? errStopped : error);
      return;
    }
    for (const watch of this.#live.values()) this.#waiting.add(watch);
    this.#live.clear();
    this.#ids.clear();
    this.#asked = [];
    if (this.#waiting.size === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#createAll();
    }, this.#backoff.failed());
  }

  #failAll(error: EtcdError): void {
    const all = [...this.#live.values(), ...this.#waiting];
    this.#live.clear();
    this.#ids.clear();
    this.#asked = [];
    this.#waiting.clear();
    for (const watch of all) watch.onFailed(error);
  }

  #fail(watch: Watch, id: number, error: EtcdError): void {
    this.#forget(watch, id);
    watch.onFailed(error);
  }

  #forget(watch: Watch, id: number): void {
    this.#live.delete(id);
    this.#ids.delete(watch);
  }

  #cancel(id: number): void {
    this.#stream?.send(encodeWatchRequest(this.#writer, { kind: "cancel", watchId: id }));
  }

  // A stream without watches would keep the program alive.
  #closeIfIdle(): void {
    this.#stream?.cancel();
    this.#stream = undefined;
    this.#asked = [];
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/** A refusal has no code on the wire. */
function refusalOf(reason: string): EtcdError {
  const { invalidArgument, permissionDenied, unknown } = StatusCode;
  if (reason === reasonEmptyRange || reason === reasonDuplicateId) {
    return new EtcdError(invalidArgument, reason);
  }
  const denied = reason.endsWith("permission denied");
  return new EtcdError(denied ? permissionDenied : unknown, reason);
}
