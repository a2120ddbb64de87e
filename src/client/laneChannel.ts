// The channel of a client that talks in batches, to one or more members: the calls of a turn leave in one
// batch for each member. It prefers the leader and follows it; reads survive the death of a member,
// writes say so, streams end with UNAVAILABLE.
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
import type { CallOptions, Channel, ClientStream, StreamOptions, StreamReader } from "./channel.ts";
import { Lane, type LaneHooks, type PendingCall } from "./lane.ts";
import type { LanePort } from "./lanePort.ts";
import type { LaneStream } from "./laneStream.ts";
import { afterTurn, quietTimer } from "./platform.ts";

export interface LaneChannelLimits {
  /** Calls not answered yet; one more fails with "too many requests". */
  readonly callsMax: number;
  /** Bytes of their messages together, likewise. */
  readonly callBytesMax: number;
  /** Streams that are open, likewise. */
  readonly streamsMax: number;
  /** Different paths. */
  readonly methodsMax: number;
  /** How often a read is sent, when one member after the other dies. */
  readonly attemptsMax: number;
  /** For calls without a timeout of their own; above a member's own limit, so that it says why. */
  readonly timeoutMsDefault: number;
  /** For streams without a window of their own. */
  readonly windowBytesDefault: number;
}

export const defaultLaneChannelLimits: LaneChannelLimits = {
  callsMax: 65_536,
  callBytesMax: 256 * 1_048_576,
  streamsMax: 1_024,
  methodsMax: 256,
  attemptsMax: 4,
  timeoutMsDefault: 30_000,
  windowBytesDefault: 4 * 1_048_576,
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

export interface LaneChannelOptions {
  readonly clock?: Clock;
  readonly limits?: Partial<LaneChannelLimits>;
  /** Called once, by `close`. */
  onClose?(): void;
  /** A way to a member is gone, and what was in flight on it is about to be settled. */
  onLost?(key: string): void;
  /** What a call fails with when there is no way to any member. */
  whyNoLane?(): EtcdError;
}

export class LaneChannel implements Channel {
  readonly #clock: Clock;
  readonly #options: LaneChannelOptions;
  readonly #limits: LaneChannelLimits;
  readonly #hooks: LaneHooks;
  readonly #lanes = new Map<string, Lane>();
  readonly #methods = new Map<string, number>();
  readonly #paths: string[] = [];
  #leader: MemberId | undefined;
  #term = 0;
  #lastId = 0;
  #callCount = 0;
  #callBytes = 0;
  #streamCount = 0;
  #flushRequested = false;
  #deadlineTimer: { stop(): void } | undefined;
  #nextDeadlineMs = Number.POSITIVE_INFINITY;
  #closed = false;

  constructor(options: LaneChannelOptions = {}) {
    this.#clock = options.clock ?? { nowMs: () => performance.now() };
    this.#options = options;
    this.#limits = { ...defaultLaneChannelLimits, ...options.limits };
    this.#hooks = {
      onAnswer: (call, answer) => {
        this.#release(call);
        call.resolve(answer);
      },
      onFailure: (call, error) => this.#onFailure(call, error),
      onLeader: (leader, term) => this.#onLeader(leader, term),
      requestFlush: () => this.#requestFlush(),
      onLost: (lane, calls, streams) => this.#onLost(lane, calls, streams),
    };
  }

  /** The leader that was heard of last; undefined before the first. */
  get leader(): MemberId | undefined {
    return this.#leader;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The way is gone: its calls are lost now, not when the port says so. */
  detach(key: string): void {
    this.#lanes.get(key)?.close();
  }

  /** Takes a way to a member; an earlier one of this key is dead and what it held is lost. */
  attach(
    key: string,
    port: LanePort,
    { member, headers = [] }: { member?: MemberId; headers?: readonly [string, string][] } = {},
  ): void {
    this.#lanes.get(key)?.close();
    if (this.#closed) {
      port.close();
      return;
    }
    const lane = new Lane({ key, member }, port, this.#hooks);
    for (const [name, value] of headers) lane.header(name, value);
    this.#lanes.set(key, lane);
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

  stream(path: string, reader: StreamReader, options: StreamOptions = {}): ClientStream {
    const method = this.#methodOf(path);
    const refusal = this.#streamRefusal(method, options.signal);
    const lane = this.#bestLane();
    if (refusal !== undefined || lane === undefined) {
      return endedStream(reader, refusal ?? this.#noLane());
    }
    const spec = {
      id: this.#nextId(),
      method,
      windowBytes: options.windowBytes ?? this.#limits.windowBytesDefault,
      followsLeader: options.followsLeader ?? false,
      reader,
    };
    const stream = lane.open(spec, this.#paths);
    this.#streamCount++;
    const { signal } = options;
    const onAbort = (): void => {
      stream.cancel();
      reader.onEnd(errCanceled);
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    stream.onOver = () => {
      this.#streamCount--;
      signal?.removeEventListener("abort", onAbort);
    };
    return stream;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.onClose?.();
    this.#deadlineTimer?.stop();
    for (const lane of [...this.#lanes.values()]) lane.close();
  }

  /** Members hear of an election one after the other: the highest term is right. */
  #onLeader(leader: MemberId, term: number): void {
    if (term < this.#term) return;
    const known = this.#leader;
    this.#leader = leader;
    this.#term = term;
    const lanes = [...this.#lanes.values()];
    if (known === leader || !lanes.some(({ member }) => member === leader)) return;
    for (const lane of lanes) if (lane.member !== leader) lane.endFollowers();
  }

  #streamRefusal(method: number, signal: AbortSignal | undefined): EtcdError | undefined {
    if (this.#closed) return errStopped;
    if (signal?.aborted === true) return errCanceled;
    const { streamsMax, methodsMax } = this.#limits;
    const full = this.#streamCount >= streamsMax || method >= methodsMax;
    return full ? errTooManyRequests : undefined;
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
      this.#fail(call, this.#noLane());
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
    afterTurn(() => this.#flush());
  }

  #flush(): void {
    this.#flushRequested = false;
    for (const lane of this.#lanes.values()) lane.flush();
  }

  #bestLane(): Lane | undefined {
    let best: Lane | undefined;
    for (const lane of this.#lanes.values()) {
      if (this.#leader !== undefined && lane.member === this.#leader) return lane;
      if (best === undefined || lane.readiness > best.readiness) best = lane;
    }
    return best;
  }

  #noLane(): EtcdError {
    return this.#options.whyNoLane?.() ?? errNoLeader;
  }

  #release(call: PendingCall): void {
    this.#callCount--;
    this.#callBytes -= call.messageBytes;
  }

  #fail(call: PendingCall, error: EtcdError): void {
    this.#release(call);
    call.reject(error);
  }

  /** A member that is being refilled answers nothing, while the others do: its lane has stepped back. */
  #onFailure(call: PendingCall, error: EtcdError): void {
    const isElsewhere = error.message === errNoLeader.message && this.#lanes.size > 1;
    if (isElsewhere && this.#mayRepeat(call)) this.#send(call, call.repeat);
    else this.#fail(call, error);
  }

  #mayRepeat(call: PendingCall): call is PendingCall & { repeat: Uint8Array } {
    const isInBounds = call.attempts < this.#limits.attemptsMax && !this.#closed;
    return call.repeat !== undefined && isInBounds;
  }

  #onLost(lane: Lane, calls: readonly PendingCall[], streams: readonly LaneStream[]): void {
    if (this.#lanes.get(lane.key) === lane) this.#lanes.delete(lane.key);
    this.#options.onLost?.(lane.key);
    const unsure = lane.wasOpen ? errTimeoutConnectionLost : this.#noLane();
    const error = this.#closed ? errStopped : unsure;
    for (const call of calls) {
      if (this.#mayRepeat(call)) this.#send(call, call.repeat);
      else this.#fail(call, error);
    }
    for (const stream of streams) stream.onEnd(error);
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
    for (const lane of this.#lanes.values()) lane.cancel(call.id);
    this.#fail(call, error);
  }

  // One timer for all calls, set for the earliest deadline that was seen; it looks at every call.
  #armDeadline(deadlineMs: number): void {
    if (deadlineMs >= this.#nextDeadlineMs || this.#closed) return;
    this.#nextDeadlineMs = deadlineMs;
    this.#deadlineTimer?.stop();
    const delayMs = Math.max(1, Math.ceil(deadlineMs - this.#clock.nowMs()));
    this.#deadlineTimer = quietTimer(() => this.#onDeadline(), delayMs);
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

/** A stream that could not begin; its reader hears of it after the call. */
function endedStream(reader: StreamReader, error: EtcdError): ClientStream {
  let over = false;
  queueMicrotask(() => {
    if (!over) reader.onEnd(error);
  });
  return {
    send() {},
    halfClose() {},
    cancel() {
      over = true;
    },
    pause() {},
    resume() {},
  };
}
