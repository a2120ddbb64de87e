// The channel of an embedded client, in any thread: the calls of a turn leave in one message for each
// member. It prefers the leader and follows it; reads survive the death of a member, writes say so.
import type { MessagePort } from "node:worker_threads";
import type { MemberId } from "../base/brand.ts";
import { copyBytes } from "../base/bytes.ts";
import {
  EtcdError,
  errCanceled,
  errNoLeader,
  errStopped,
  errTimeoutConnectionLost,
  errTooManyRequests,
  StatusCode,
} from "../base/errors.ts";
import type { Clock } from "../base/ports.ts";
import type { CallOptions, Channel } from "../client/channel.ts";
import { type LaneHooks, MemberLane, type PendingCall } from "./memberLane.ts";

export interface MemberClientLimits {
  /** Calls not answered yet; one more fails with "too many requests". */
  readonly callsMax: number;
  /** Bytes of their messages together, likewise. */
  readonly callBytesMax: number;
  /** Different paths. */
  readonly methodsMax: number;
  /** How often a read is sent, when one member after the other dies. */
  readonly attemptsMax: number;
  /** For calls without a timeout of their own; above a member's own limit, so that it says why. */
  readonly timeoutMsDefault: number;
}

export const defaultMemberClientLimits: MemberClientLimits = {
  callsMax: 65_536,
  callBytesMax: 256 * 1_048_576,
  methodsMax: 256,
  attemptsMax: 4,
  timeoutMsDefault: 30_000,
};

/** Calls that change nothing: asking another member again is harmless. */
const repeatablePaths: ReadonlySet<string> = new Set([
  "/etcdserverpb.KV/Range",
  "/etcdserverpb.Lease/LeaseTimeToLive",
  "/etcdserverpb.Lease/LeaseLeases",
  "/etcdserverpb.Cluster/MemberList",
  "/etcdserverpb.Maintenance/Status",
  "/etcdserverpb.Maintenance/HashKV",
]);

const errDeadlineExceeded = new EtcdError(StatusCode.deadlineExceeded, "context deadline exceeded");
const timeoutMsMax = 0x7fff_ffff;

export interface MemberClientOptions {
  readonly clock?: Clock;
  readonly limits?: Partial<MemberClientLimits>;
  /** Called once, by `close`. */
  onClose?(): void;
}

export class MemberClient implements Channel {
  readonly #clock: Clock;
  readonly #limits: MemberClientLimits;
  readonly #hooks: LaneHooks;
  readonly #onClose: () => void;
  readonly #lanes = new Map<MemberId, MemberLane>();
  readonly #methods = new Map<string, number>();
  readonly #paths: string[] = [];
  #leader: MemberId | undefined;
  #lastId = 0;
  #callCount = 0;
  #callBytes = 0;
  #flushRequested = false;
  #deadlineTimer: NodeJS.Timeout | undefined;
  #nextDeadlineMs = Number.POSITIVE_INFINITY;
  #closed = false;

  constructor(options: MemberClientOptions = {}) {
    this.#clock = options.clock ?? { nowMs: () => performance.now() };
    this.#limits = { ...defaultMemberClientLimits, ...options.limits };
    this.#onClose = () => options.onClose?.();
    this.#hooks = {
      onAnswer: (call, answer) => {
        this.#release(call);
        call.resolve(answer);
      },
      onFailure: (call, error) => this.#fail(call, error),
      onLeader: (leader) => {
        this.#leader = leader;
      },
      onLost: (lane, calls) => this.#onLost(lane, calls),
    };
  }

  /** The leader that was heard of last; undefined before the first. */
  get leader(): MemberId | undefined {
    return this.#leader;
  }

  /** The member is gone: its calls are lost now, not when the port says so. */
  detach(member: MemberId): void {
    this.#lanes.get(member)?.close();
  }

  /** Takes the port to a member; an earlier one is dead and what it held is lost. */
  attach(member: MemberId, port: MessagePort): void {
    this.#lanes.get(member)?.close();
    if (this.#closed) port.close();
    else this.#lanes.set(member, new MemberLane(member, port, this.#hooks));
  }

  unary(path: string, message: Uint8Array, options: CallOptions = {}): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const method = this.#methodOf(path);
      const refusal = this.#refusalOf(method, message, options.signal);
      if (refusal !== undefined) {
        reject(refusal);
        return;
      }
      const timeoutMs = Math.min(options.timeoutMs ?? this.#limits.timeoutMsDefault, timeoutMsMax);
      const call: PendingCall = {
        id: this.#nextId(),
        method,
        timeoutMs,
        deadlineMs: this.#clock.nowMs() + timeoutMs,
        messageBytes: message.length,
        repeat: repeatablePaths.has(path) ? copyBytes(message) : undefined,
        attempts: 0,
        resolve,
        reject,
      };
      this.#callCount++;
      this.#callBytes += message.length;
      if (options.signal !== undefined) this.#watchSignal(call, options.signal);
      this.#armDeadline(call.deadlineMs);
      this.#send(call, message);
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClose();
    clearTimeout(this.#deadlineTimer);
    for (const lane of [...this.#lanes.values()]) lane.close();
  }

  #refusalOf(
    method: number,
    message: Uint8Array,
    signal: AbortSignal | undefined,
  ): EtcdError | undefined {
    if (this.#closed) return errStopped;
    if (signal?.aborted === true) return errCanceled;
    const { callsMax, callBytesMax, methodsMax } = this.#limits;
    const full = this.#callCount >= callsMax || this.#callBytes + message.length > callBytesMax;
    return full || method >= methodsMax ? errTooManyRequests : undefined;
  }

  #methodOf(path: string): number {
    const known = this.#methods.get(path);
    if (known !== undefined) return known;
    const method = this.#paths.length;
    if (method >= this.#limits.methodsMax) return method;
    this.#paths.push(path);
    this.#methods.set(path, method);
    return method;
  }

  // Ids are 32 bits wide; by the time they come round, old calls are long gone.
  #nextId(): number {
    this.#lastId = (this.#lastId + 1) >>> 0;
    return this.#lastId;
  }

  #send(call: PendingCall, message: Uint8Array): void {
    const lane = this.#bestLane();
    if (lane === undefined) {
      this.#fail(call, errNoLeader);
      return;
    }
    call.attempts++;
    lane.add(call, { message, paths: this.#paths });
    this.#requestFlush();
  }

  #requestFlush(): void {
    if (this.#flushRequested) return;
    this.#flushRequested = true;
    // Not a microtask: callers that are resumed by one batch of answers ask again in the same turn.
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#flushRequested = false;
    for (const lane of this.#lanes.values()) lane.flush();
  }

  #bestLane(): MemberLane | undefined {
    const leading = this.#leader === undefined ? undefined : this.#lanes.get(this.#leader);
    if (leading !== undefined) return leading;
    let best: MemberLane | undefined;
    for (const lane of this.#lanes.values()) {
      if (lane.serving) return lane;
      best ??= lane;
    }
    return best;
  }

  #release(call: PendingCall): void {
    this.#callCount--;
    this.#callBytes -= call.messageBytes;
  }

  #fail(call: PendingCall, error: EtcdError): void {
    this.#release(call);
    call.reject(error);
  }

  #onLost(lane: MemberLane, calls: readonly PendingCall[]): void {
    if (this.#lanes.get(lane.member) === lane) this.#lanes.delete(lane.member);
    for (const call of calls) {
      const mayRepeat = call.attempts < this.#limits.attemptsMax && !this.#closed;
      if (call.repeat !== undefined && mayRepeat) this.#send(call, call.repeat);
      else this.#fail(call, this.#closed ? errStopped : errTimeoutConnectionLost);
    }
  }

  #watchSignal(call: PendingCall, signal: AbortSignal): void {
    const onAbort = (): void => this.#abandon(call, errCanceled);
    signal.addEventListener("abort", onAbort, { once: true });
    const { resolve, reject } = call;
    call.resolve = (answer) => {
      signal.removeEventListener("abort", onAbort);
      resolve(answer);
    };
    call.reject = (error) => {
      signal.removeEventListener("abort", onAbort);
      reject(error);
    };
  }

  /** Ends a call from this side and tells the member. */
  #abandon(call: PendingCall, error: EtcdError): void {
    this.#requestFlush();
    for (const lane of this.#lanes.values()) lane.cancel(call.id);
    this.#fail(call, error);
  }

  // One timer for all calls, set for the earliest deadline that was seen; it looks at every call.
  #armDeadline(deadlineMs: number): void {
    if (deadlineMs >= this.#nextDeadlineMs || this.#closed) return;
    this.#nextDeadlineMs = deadlineMs;
    clearTimeout(this.#deadlineTimer);
    const delayMs = Math.max(1, Math.ceil(deadlineMs - this.#clock.nowMs()));
    this.#deadlineTimer = setTimeout(() => this.#onDeadline(), delayMs).unref();
  }

  #onDeadline(): void {
    this.#nextDeadlineMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#clock.nowMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const lane of this.#lanes.values()) {
      for (const call of lane.calls()) {
        if (call.deadlineMs <= nowMs) this.#abandon(call, errDeadlineExceeded);
        else if (call.deadlineMs < nextMs) nextMs = call.deadlineMs;
      }
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#armDeadline(nextMs);
  }
}
