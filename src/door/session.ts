// One client that talks in batches: its calls and streams, and the answers of the turn.
import { totalBytes } from "../base/bytes.ts";
import {
  EtcdError,
  errServiceNotServed,
  errTooManyRequests,
  errUnknownMethod,
} from "../base/errors.ts";
import type { Clock } from "../base/ports.ts";
import {
  type MethodTable,
  type StreamMethod,
  type UnaryMethod,
  wholeBytesMax,
} from "../grpc/call.ts";
import { errAnswerBacklog, errNotStream, errNotUnary } from "../grpc/refusals.ts";
import {
  BatchWriter,
  type CallHead,
  type CallVisitor,
  type LeaderNews,
  type OpenHead,
  readCalls,
} from "../transport/callBatch.ts";
import { type DoorPort, postedBytesMax } from "./doorPort.ts";
import { LongAnswers } from "./longAnswers.ts";
import { type CallOwner, SessionCall, SessionStream } from "./sessionCalls.ts";

export interface SessionLimits {
  /** Calls of one client that are not answered yet; more are refused at once. */
  readonly callsMax: number;
  /** Streams of one client, likewise. */
  readonly streamsMax: number;
  /** Different paths one client may use; one more closes it. */
  readonly methodsMax: number;
  /** Headers of one client, and bytes of each; more closes it. */
  readonly headersMax: number;
  readonly headerBytesMax: number;
  /** Credit of a stream; more closes the client. */
  readonly creditBytesMax: number;
  /** What a method may say without credit: answers to what it is asked; more ends the stream. */
  readonly overdraftBytesMax: number;
  /** Answers on their way to one client; more fail instead. */
  readonly answerBytesMax: number;
  /** A batch that has reached this is posted before the turn ends. */
  readonly batchBytesMax: number;
}

export const defaultSessionLimits: SessionLimits = {
  callsMax: 65_536,
  streamsMax: 1_024,
  methodsMax: 256,
  headersMax: 16,
  headerBytesMax: 8_192,
  creditBytesMax: 64 << 20,
  overdraftBytesMax: 64 << 20,
  answerBytesMax: 256 << 20,
  batchBytesMax: 1 << 20,
};

/** What all clients of a door share. */
export interface SessionHost {
  requestFlush(): void;
  /** A method threw: a mistake of ours. */
  onMistake(error: unknown): void;
  onClosed(session: Session): void;
  readonly clock: Clock;
}

type Route =
  | { readonly kind: "unary"; readonly method: UnaryMethod }
  | { readonly kind: "stream"; readonly method: StreamMethod }
  | { readonly kind: "none"; readonly refusal: EtcdError };

export class Session implements CallVisitor, CallOwner {
  readonly #port: DoorPort;
  readonly #host: SessionHost;
  readonly #limits: SessionLimits;
  readonly #answers = new BatchWriter();
  readonly #calls = new Map<number, SessionCall>();
  readonly #streams = new Map<number, SessionStream>();
  readonly #long = new LongAnswers();
  /** The next part of a long answer is due in the next turn. */
  #isSending = false;
  readonly #headers = new Map<string, string>();
  /** By the client's number. */
  readonly #routes: (Route | undefined)[] = [];
  #table: MethodTable | undefined;
  #nowMs = 0;
  #closed = false;

  constructor(port: DoorPort, host: SessionHost, limits: SessionLimits) {
    this.#port = port;
    this.#host = host;
    this.#limits = limits;
    port.onClose(() => this.#onClose());
    port.onRoom(() => this.#sendPartLater());
  }

  open(table: MethodTable, news: LeaderNews): void {
    this.#table = table;
    // Not before: a port that nobody listens to keeps its messages.
    this.#port.listen((batch) => this.#onBatch(batch));
    this.tellLeader(news);
  }

  tellLeader(news: LeaderNews): void {
    this.#requestFlushOnce();
    this.#answers.leader(news);
  }

  flush(): void {
    if (!this.#answers.isEmpty && !this.#closed) this.#port.post(this.#answers.finish());
  }

  close(): void {
    this.#port.close();
    this.#onClose();
  }

  onDefine(method: number, path: string): void {
    if (method >= this.#limits.methodsMax || this.#table === undefined) this.close();
    else this.#routes[method] = routeOf(path, this.#table);
  }

  onHeader(name: string, value: string): void {
    const { headersMax, headerBytesMax } = this.#limits;
    const full = this.#headers.size >= headersMax && !this.#headers.has(name);
    if (full || name.length + value.length > headerBytesMax) this.close();
    else this.#headers.set(name, value);
  }

  onCall(head: CallHead, message: Uint8Array): void {
    const route = this.#routes[head.method];
    if (route === undefined || this.#isUsed(head.id)) this.close();
    else if (route.kind === "none") this.onFailed(head.id, route.refusal);
    else if (route.kind === "stream") this.onFailed(head.id, errNotUnary);
    else if (this.#calls.size >= this.#limits.callsMax) this.onFailed(head.id, errTooManyRequests);
    else this.#run(route.method, head, message);
  }

  onOpen(head: OpenHead): void {
    const route = this.#routes[head.method];
    const { streamsMax, creditBytesMax } = this.#limits;
    if (route === undefined || this.#isUsed(head.id) || head.creditBytes > creditBytesMax) {
      this.close();
    } else if (route.kind === "none") this.onFailed(head.id, route.refusal);
    else if (route.kind === "unary") this.onFailed(head.id, errNotStream);
    else if (this.#streams.size >= streamsMax) this.onFailed(head.id, errTooManyRequests);
    else {
      const stream = new SessionStream(this, head, this.#limits);
      this.#streams.set(head.id, stream);
      this.guard(stream, () => stream.start(route.method));
    }
  }

  // What is over here may still be spoken to: the word of it was under way.
  onMessage(id: number, message: Uint8Array): void {
    this.#streams.get(id)?.onMessage(message);
  }

  onHalfClose(id: number): void {
    this.#streams.get(id)?.onHalfClose();
  }

  onCredit(id: number, bytes: number): void {
    if (this.#streams.get(id)?.onCredit(bytes) === false) this.close();
  }

  onCancel(id: number): void {
    this.#calls.get(id)?.cancel();
    this.#calls.delete(id);
    this.#long.drop(id);
    const stream = this.#streams.get(id);
    this.#streams.delete(id);
    stream?.cancel();
  }

  onAnswered(id: number, message: Uint8Array): void {
    this.#calls.delete(id);
    if (this.#isFull(message.length)) {
      this.onFailed(id, errAnswerBacklog);
      return;
    }
    this.#requestFlushOnce();
    this.#answers.answer(id, message);
    this.#postIfLarge();
  }

  onAnsweredInParts(id: number, parts: readonly Uint8Array[]): void {
    const bytes = totalBytes(parts);
    if (this.#isFull(bytes)) this.onFailed(id, errAnswerBacklog);
    else if (bytes < wholeBytesMax) this.onAnswered(id, Buffer.concat(parts));
    else {
      this.#calls.delete(id);
      this.#long.add(id, parts);
      this.#sendPartLater();
    }
  }

  onFailed(id: number, error: EtcdError): void {
    this.#calls.delete(id);
    this.#streams.delete(id);
    this.#requestFlushOnce();
    this.#answers.failure(id, error);
  }

  onStreamMessage(id: number, message: Uint8Array): void {
    this.#requestFlushOnce();
    this.#answers.message(id, message);
    this.#postIfLarge();
  }

  onStreamEnded(id: number): void {
    this.#streams.delete(id);
    this.#requestFlushOnce();
    this.#answers.end(id);
  }

  get answerBytesMax(): number {
    return this.#limits.answerBytesMax;
  }

  nowMs(): number {
    return this.#host.clock.nowMs();
  }

  header(name: string): string | undefined {
    return this.#headers.get(name);
  }

  guard(stream: SessionStream | undefined, run: () => void): void {
    try {
      run();
    } catch (error) {
      if (error instanceof EtcdError && stream !== undefined) stream.breakOff(error);
      else this.#host.onMistake(error);
    }
  }

  #onBatch(batch: Uint8Array | undefined): void {
    this.#nowMs = this.nowMs();
    if (batch === undefined || !readCalls(batch, this)) this.close();
  }

  #run(method: UnaryMethod, { id, timeoutMs }: CallHead, message: Uint8Array): void {
    const call = new SessionCall(this, { id, deadlineMs: this.#nowMs + timeoutMs });
    this.#calls.set(id, call);
    try {
      method(call, message);
    } catch (error) {
      if (error instanceof EtcdError) call.fail(error);
      else this.#host.onMistake(error);
    }
  }

  #isUsed(id: number): boolean {
    const isOpen = this.#calls.has(id) || this.#streams.has(id) || this.#long.has(id);
    return this.#closed || isOpen;
  }

  #isFull(bytes: number): boolean {
    const waiting = this.#answers.bytes + this.#port.backlogBytes + this.#long.bytes;
    return waiting > 0 && waiting + bytes > this.#limits.answerBytesMax;
  }

  // One in each turn, as long as the client takes them.
  #sendPart(): void {
    this.#isSending = false;
    if (this.#closed || this.#port.backlogBytes > postedBytesMax) return;
    const part = this.#long.next();
    if (part === undefined) return;
    this.#requestFlushOnce();
    if (part.isLast) this.#answers.answer(part.id, part.bytes);
    else this.#answers.part(part.id, part.bytes);
    this.#postIfLarge();
    this.#sendPartLater();
  }

  #sendPartLater(): void {
    if (this.#isSending || this.#long.isEmpty) return;
    this.#isSending = true;
    setImmediate(() => this.#sendPart());
  }

  #postIfLarge(): void {
    if (this.#answers.bytes >= this.#limits.batchBytesMax) this.flush();
  }

  #requestFlushOnce(): void {
    if (this.#answers.isEmpty) this.#host.requestFlush();
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#host.onClosed(this);
    for (const call of this.#calls.values()) call.cancel();
    this.#calls.clear();
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    for (const stream of streams) stream.cancel();
  }
}

function routeOf(path: string, table: MethodTable): Route {
  const unary = table.unary.get(path);
  if (unary !== undefined) return { kind: "unary", method: unary };
  const stream = table.stream.get(path);
  if (stream !== undefined) return { kind: "stream", method: stream };
  return { kind: "none", refusal: refusalFor(path, table) };
}

function refusalFor(path: string, table: MethodTable): EtcdError {
  const slash = path.lastIndexOf("/");
  const service = path.slice(1, slash);
  const isServed = [...table.unary.keys(), ...table.stream.keys()].some((known) =>
    known.startsWith(`/${service}/`),
  );
  return isServed ? errUnknownMethod(service, path.slice(slash + 1)) : errServiceNotServed(service);
}
