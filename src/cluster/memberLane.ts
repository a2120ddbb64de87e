// One member as an embedded client sees it: its port, what waits to be sent, what waits for an answer.
import type { MessagePort } from "node:worker_threads";
import { MemberId } from "../base/brand.ts";
import { EtcdError, type StatusCode } from "../base/errors.ts";
import { type AnswerVisitor, BatchWriter, readAnswers } from "../transport/callBatch.ts";
import { postBytes } from "../transport/postBytes.ts";

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
  onLeader(leader: MemberId): void;
  /** The member or its port died with these calls unanswered. */
  onLost(lane: MemberLane, calls: readonly PendingCall[]): void;
}

export class MemberLane implements AnswerVisitor {
  readonly member: MemberId;
  readonly #port: MessagePort;
  readonly #hooks: LaneHooks;
  readonly #batch = new BatchWriter();
  readonly #calls = new Map<number, PendingCall>();
  #definedCount = 0;
  #serving = false;
  #closed = false;

  constructor(member: MemberId, port: MessagePort, hooks: LaneHooks) {
    this.member = member;
    this.#port = port;
    this.#hooks = hooks;
    port.on("message", (message: unknown) => this.#onMessage(message));
    port.on("close", () => this.#onClose());
    // Only a call in flight keeps the process alive.
    port.unref();
  }

  /** True once the member has said that it answers. */
  get serving(): boolean {
    return this.#serving;
  }

  /** Queues the call for this turn's batch. `paths`: by method number. */
  add(
    call: PendingCall,
    { message, paths }: { message: Uint8Array; paths: readonly string[] },
  ): void {
    while (this.#definedCount <= call.method) {
      this.#batch.define(this.#definedCount, paths[this.#definedCount] ?? "");
      this.#definedCount++;
    }
    if (this.#calls.size === 0) this.#port.ref();
    this.#calls.set(call.id, call);
    this.#batch.call(call, message);
  }

  /** Forgets a call; the member hears that nobody waits for it. */
  cancel(id: number): void {
    if (this.#take(id) !== undefined) this.#batch.cancel(id);
  }

  flush(): void {
    if (!this.#batch.isEmpty) postBytes(this.#port, this.#batch.finish());
  }

  /** Calls in flight, in the order they were made. */
  calls(): IterableIterator<PendingCall> {
    return this.#calls.values();
  }

  close(): void {
    this.#port.close();
    this.#onClose();
  }

  onAnswer(id: number, message: Uint8Array): void {
    const call = this.#take(id);
    if (call !== undefined) this.#hooks.onAnswer(call, message);
  }

  onFailure(id: number, error: { readonly code: StatusCode; readonly message: string }): void {
    const call = this.#take(id);
    if (call !== undefined) this.#hooks.onFailure(call, new EtcdError(error.code, error.message));
  }

  onLeader(leader: bigint): void {
    this.#serving = true;
    if (leader !== 0n) this.#hooks.onLeader(MemberId(leader));
  }

  #take(id: number): PendingCall | undefined {
    const call = this.#calls.get(id);
    if (call === undefined) return undefined;
    this.#calls.delete(id);
    if (this.#calls.size === 0) this.#port.unref();
    return call;
  }

  #onMessage(message: unknown): void {
    const fine = message instanceof Uint8Array && readAnswers(message, this);
    if (!fine) this.close();
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    this.#hooks.onLost(this, calls);
  }
}
