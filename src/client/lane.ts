// One member as a client sees it: its port, what waits to be sent, what waits for an answer.
import { MemberId } from "../base/brand.ts";
import { joinBytes } from "../base/bytes.ts";
import { EtcdError, errLeaderChanged, errNoLeader } from "../base/errors.ts";
import {
  type AnswerVisitor,
  BatchWriter,
  type Failure,
  type LeaderNews,
  readAnswers,
} from "../transport/callBatch.ts";
import type { LanePort } from "./lanePort.ts";
import { LaneStream, type StreamSpec } from "./laneStream.ts";

/** A batch that has reached this is posted before the turn ends. */
const batchBytesMax = 1 << 20;

/** A call in flight. `id`, `method` and `timeoutMs` are as in transport/callBatch.ts. */
export interface PendingCall {
  readonly id: number;
  readonly method: number;
  readonly timeoutMs: number;
  readonly deadlineMs: number;
  readonly messageBytes: number;
  /** A copy of the message where the call may be repeated. */
  readonly repeat: Uint8Array | undefined;
  /** How often it was sent. */
  attempts: number;
  resolve: (answer: Uint8Array) => void;
  reject: (error: EtcdError) => void;
}

export interface LaneHooks {
  /** The call has left the lane: settle it. */
  onAnswer(call: PendingCall, answer: Uint8Array): void;
  onFailure(call: PendingCall, error: EtcdError): void;
  onLeader(leader: MemberId, term: number): void;
  /** Something waits to be flushed. */
  requestFlush(): void;
  /** The member or its port died with these calls and streams in flight. */
  onLost(lane: Lane, calls: readonly PendingCall[], streams: readonly LaneStream[]): void;
}

/** 0: it said that it has no leader; 1: it said nothing yet; 2: it said that it serves. */
export type Readiness = 0 | 1 | 2;

export class Lane implements AnswerVisitor {
  /** Names the lane for its owner; the member itself where that is known beforehand. */
  readonly key: string;
  readonly #port: LanePort;
  readonly #hooks: LaneHooks;
  readonly #batch = new BatchWriter();
  readonly #calls = new Map<number, PendingCall>();
  readonly #streams = new Map<number, LaneStream>();
  /** Of answers that have begun, by call. */
  readonly #parts = new Map<number, Uint8Array[]>();
  #member: MemberId | undefined;
  #definedCount = 0;
  #readiness: Readiness = 1;
  #closed = false;

  constructor(
    { key, member }: { readonly key: string; readonly member: MemberId | undefined },
    port: LanePort,
    hooks: LaneHooks,
  ) {
    this.key = key;
    this.#member = member;
    this.#port = port;
    this.#hooks = hooks;
    port.onBatch = (batch) => this.#onBatch(batch);
    port.onClose = () => this.#onClose();
    // Only what is in flight keeps the process alive.
    port.release();
  }

  /** Who is at the other end, as far as it said. */
  get member(): MemberId | undefined {
    return this.#member;
  }

  get readiness(): Readiness {
    return this.#readiness;
  }

  /** False: the member has heard nothing of what was asked. */
  get wasOpen(): boolean {
    return this.#port.wasOpen;
  }

  header(name: string, value: string): void {
    this.#batch.header(name, value);
  }

  /** Queues the call for this turn's batch. `paths`: by method number. */
  add(
    call: PendingCall,
    { message, paths }: { message: Uint8Array; paths: readonly string[] },
  ): void {
    this.#define(call.method, paths);
    this.#holdPort();
    this.#calls.set(call.id, call);
    this.#batch.call(call, message);
    this.#postIfLarge();
  }

  /** Opens a stream with this turn's batch. */
  open(spec: StreamSpec, paths: readonly string[]): LaneStream {
    this.#define(spec.method, paths);
    this.#holdPort();
    const stream = new LaneStream(spec, {
      message: (message) => {
        this.#say((batch) => batch.message(spec.id, message));
        this.#postIfLarge();
      },
      halfClose: () => this.#say((batch) => batch.end(spec.id)),
      credit: (bytes) => this.#say((batch) => batch.credit(spec.id, bytes)),
      cancel: () => {
        if (this.#takeStream(spec.id) !== undefined) this.#say((batch) => batch.cancel(spec.id));
      },
    });
    this.#streams.set(spec.id, stream);
    this.#say((batch) => batch.open(stream.head));
    return stream;
  }

  /** Forgets a call; the member hears that nobody waits for it. */
  cancel(id: number): void {
    if (this.#takeCall(id) !== undefined) this.#say((batch) => batch.cancel(id));
  }

  flush(): void {
    if (!this.#batch.isEmpty) this.#port.post(this.#batch.finish());
  }

  /** Calls in flight, in the order they were made. */
  calls(): IterableIterator<PendingCall> {
    return this.#calls.values();
  }

  /** The streams that want to be with the leader end: it is elsewhere. */
  endFollowers(): void {
    for (const [id, stream] of [...this.#streams]) {
      if (!stream.followsLeader) continue;
      this.#takeStream(id);
      this.#say((batch) => batch.cancel(id));
      stream.onEnd(errLeaderChanged);
    }
  }

  close(): void {
    this.#port.close();
    this.#onClose();
  }

  onPart(id: number, bytes: Uint8Array): void {
    if (!this.#calls.has(id)) return;
    const parts = this.#parts.get(id);
    if (parts === undefined) this.#parts.set(id, [bytes]);
    else parts.push(bytes);
  }

  onAnswer(id: number, message: Uint8Array): void {
    const parts = this.#parts.get(id);
    const call = this.#takeCall(id);
    if (call === undefined) return;
    this.#hooks.onAnswer(call, parts === undefined ? message : joinBytes([...parts, message]));
  }

  onFailure(id: number, { code, message }: Failure): void {
    const call = this.#takeCall(id);
    if (message === errNoLeader.message) this.#readiness = 0;
    if (call !== undefined) this.#hooks.onFailure(call, new EtcdError(code, message));
    else this.#takeStream(id)?.onEnd(new EtcdError(code, message));
  }

  onLeader({ leader, term, self }: LeaderNews): void {
    this.#readiness = 2;
    if (self !== 0n) this.#member = MemberId(self);
    if (leader !== 0n) this.#hooks.onLeader(MemberId(leader), term);
  }

  onMessage(id: number, message: Uint8Array): void {
    this.#streams.get(id)?.onMessage(message);
  }

  onEnd(id: number): void {
    this.#takeStream(id)?.onEnd(undefined);
  }

  #define(method: number, paths: readonly string[]): void {
    for (; this.#definedCount <= method; this.#definedCount++) {
      this.#batch.define(this.#definedCount, paths[this.#definedCount] ?? "");
    }
  }

  #say(write: (batch: BatchWriter) => void): void {
    if (this.#closed) return;
    write(this.#batch);
    this.#hooks.requestFlush();
  }

  #postIfLarge(): void {
    if (this.#batch.bytes >= batchBytesMax) this.flush();
  }

  #takeCall(id: number): PendingCall | undefined {
    const call = this.#calls.get(id);
    if (call === undefined) return undefined;
    this.#calls.delete(id);
    this.#parts.delete(id);
    this.#releasePort();
    return call;
  }

  #takeStream(id: number): LaneStream | undefined {
    const stream = this.#streams.get(id);
    if (stream === undefined) return undefined;
    this.#streams.delete(id);
    this.#releasePort();
    return stream;
  }

  #holdPort(): void {
    if (this.#calls.size === 0 && this.#streams.size === 0) this.#port.hold();
  }

  #releasePort(): void {
    if (this.#calls.size === 0 && this.#streams.size === 0) this.#port.release();
  }

  #onBatch(batch: Uint8Array | undefined): void {
    if (this.#closed) return;
    if (batch === undefined || !readAnswers(batch, this)) this.close();
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    const calls = [...this.#calls.values()];
    const streams = [...this.#streams.values()];
    this.#calls.clear();
    this.#parts.clear();
    this.#streams.clear();
    this.#hooks.onLost(this, calls, streams);
  }
}
