// The Watch service: requests of one stream become calls of the hub, and what the hub says becomes
// messages. Watchers that get the same events share the bytes of these; only the head is each one's own.
import {
  EtcdError,
  errCompacted,
  errLearnerRefuses,
  errMalformed,
  errStopped,
  reasonDuplicateId,
  reasonEmptyRange,
  reasonTooManyWatchers,
} from "../base/errors.ts";
import type { StreamCall, StreamHandler, StreamMethod } from "../grpc/call.ts";
import type { MemberService } from "../member/service.ts";
import type {
  CreateRefusal,
  EventMessage,
  WatchSink,
  WatchStream,
  WatchWants,
} from "../member/watches.ts";
import { Malformed } from "../proto/reader.ts";
import {
  type WatchCreateRequest,
  WatchFilter,
  type WatchHead,
  type WatchId,
} from "../proto/watch.ts";
import { decodeWatchRequest, encodeWatchResponse, writeWatchHead } from "../proto/watchCodec.ts";
import { Writer } from "../proto/writer.ts";
import type { Headers } from "./header.ts";

/** Stands for the whole stream. */
const wholeStream = -1;

const cancelReasons: Readonly<Record<CreateRefusal, string>> = {
  emptyRange: reasonEmptyRange,
  duplicateId: reasonDuplicateId,
  tooMany: reasonTooManyWatchers,
};

const firstKey = new Uint8Array(1);
const plainHead: WatchHead = {
  watchId: 0,
  created: false,
  canceled: false,
  compactRevision: 0,
  cancelReason: "",
  fragment: false,
};

export class WatchService {
  readonly #member: MemberService;
  readonly #answers: WatchAnswers;

  constructor(member: MemberService, headers: Headers, writer: Writer) {
    this.#member = member;
    this.#answers = new WatchAnswers(headers, writer);
  }

  readonly watch: StreamMethod = (call) => {
    if (!this.#member.isLearner) return new WatchCall(this.#member, this.#answers, call);
    call.fail(errLearnerRefuses);
    return deaf;
  };
}

const deaf: StreamHandler = { onMessage() {}, onHalfClose() {}, onDrain() {}, onCancel() {} };

class WatchCall implements StreamHandler, WatchSink {
  readonly #answers: WatchAnswers;
  readonly #call: StreamCall;
  readonly #stream: WatchStream;
  #over = false;

  constructor(member: MemberService, answers: WatchAnswers, call: StreamCall) {
    this.#answers = answers;
    this.#call = call;
    this.#stream = member.watches.open(this);
  }

  onMessage(message: Uint8Array): void {
    if (this.#over) return;
    const request = decodeWatchRequest(message);
    if (request instanceof Malformed) {
      this.#end(errMalformed(request.why));
      return;
    }
    switch (request.kind) {
      case "create":
        this.#create(request.create);
        break;
      case "cancel":
        if (this.#stream.cancel(request.watchId)) {
          this.#say({ ...plainHead, watchId: request.watchId, canceled: true });
        }
        break;
      case "progress":
        this.#stream.requestProgress();
        break;
      case "none":
        // etcd passes over what it does not know.
        break;
    }
  }

  /** Events go on: a client that has nothing more to ask still listens. */
  onHalfClose(): void {}

  onDrain(): void {
    if (!this.#over) this.#stream.drained();
  }

  onCancel(): void {
    this.#over = true;
    this.#stream.close();
  }

  onEvents(watchId: WatchId, message: EventMessage): boolean {
    try {
      return this.#call.write(this.#answers.events(watchId, message));
    } catch (error) {
      // An answer above the send limit. The hub is in the middle of its turn: it hears of it after.
      if (!(error instanceof EtcdError)) throw error;
      queueMicrotask(() => this.#end(error));
      return false;
    }
  }

  onCompacted(watchId: WatchId, compactRevision: number): boolean {
    const head = { ...plainHead, watchId, canceled: true, compactRevision };
    return this.#call.write(this.#answers.withoutRevision(head));
  }

  onProgress(watchId: WatchId | undefined, revision: number): boolean {
    const head = { ...plainHead, watchId: watchId ?? wholeStream };
    return this.#call.write(this.#answers.at(revision, head));
  }

  onStopped(): void {
    this.#over = true;
    this.#call.fail(errStopped);
  }

  #create(create: WatchCreateRequest): void {
    if (create.startRevision < 0) {
      this.#refuse(errCompacted.message);
      return;
    }
    const id = this.#stream.create({
      key: create.key.length === 0 ? firstKey : create.key,
      rangeEnd: create.rangeEnd,
      start: create.startRevision,
      wants: wantsOf(create),
      id: create.watchId,
    });
    if (typeof id === "string") this.#refuse(cancelReasons[id]);
    else this.#say({ ...plainHead, watchId: id, created: true });
  }

  #refuse(cancelReason: string): void {
    this.#say({ ...plainHead, watchId: wholeStream, created: true, canceled: true, cancelReason });
  }

  #say(head: WatchHead): void {
    if (!this.#call.write(this.#answers.now(head))) this.#stream.stall();
  }

  #end(error: EtcdError): void {
    this.#over = true;
    this.#stream.close();
    this.#call.fail(error);
  }
}

function wantsOf(create: WatchCreateRequest): WatchWants {
  const { prevKv, filters, fragment } = create;
  return {
    prevKv,
    noPut: filters.includes(WatchFilter.noPut),
    noDelete: filters.includes(WatchFilter.noDelete),
    fragment,
    progress: create.progressNotify,
  };
}

/** Bytes of answers; each is valid until the next is made. */
class WatchAnswers {
  readonly #headers: Headers;
  readonly #writer: Writer;
  /** Holds the events of `#message`; heads are written before them, one after the other. */
  readonly #eventWriter = new Writer();
  #message: EventMessage | undefined;
  #eventsMark = 0;

  constructor(headers: Headers, writer: Writer) {
    this.#headers = headers;
    this.#writer = writer;
  }

  now(head: WatchHead): Uint8Array {
    return encodeWatchResponse(this.#writer, this.#headers.current(), head);
  }

  at(revision: number, head: WatchHead): Uint8Array {
    return encodeWatchResponse(this.#writer, this.#headers.at(revision), head);
  }

  withoutRevision(head: WatchHead): Uint8Array {
    return encodeWatchResponse(this.#writer, this.#headers.withoutRevision(), head);
  }

  /** @throws {EtcdError} above the send limit. */
  events(watchId: WatchId, message: EventMessage): Uint8Array {
    if (message !== this.#message) this.#writeEvents(message);
    this.#eventWriter.rewind(this.#eventsMark);
    const { fragment } = message;
    const head = fragment ? { ...plainHead, watchId, fragment } : { ...plainHead, watchId };
    writeWatchHead(this.#eventWriter, this.#headers.at(message.revision), head);
    return this.#eventWriter.view();
  }

  #writeEvents(message: EventMessage): void {
    // If this throws, the message is begun again with the next watcher.
    this.#message = undefined;
    this.#eventWriter.finish();
    for (let i = message.events.length - 1; i >= 0; i--) {
      const event = message.events[i];
      if (event !== undefined) this.#eventWriter.raw(event);
    }
    this.#eventsMark = this.#eventWriter.mark();
    this.#message = message;
  }
}
