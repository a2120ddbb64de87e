// All leases of a client: one stream of keep-alives, one timer. What is due together leaves together.
import { LeaseId, noLease } from "../base/brand.ts";
import { EtcdError, errLeaseNotFound, errStopped, StatusCode } from "../base/errors.ts";
import {
  decodeLeaseTimeToLiveResponse,
  decodeLeaseTtlResponse,
  encodeLeaseGrantRequest,
  encodeLeaseIdRequest,
  encodeLeaseTimeToLiveRequest,
} from "../proto/leaseCodec.ts";
import { Malformed } from "../proto/reader.ts";
import { Writer } from "../proto/writer.ts";
import type { CallOptions, Channel, ClientStream } from "./channel.ts";
import { Lease, type LeaseHost, type LeaseOptions, type TimeToLive } from "./lease.ts";
import { parsed } from "./results.ts";
import { Backoff, errStreamEnded, isTransient, untilAnswered } from "./retry.ts";

const keepAlivePath = "/etcdserverpb.Lease/LeaseKeepAlive";
/** Shortest pause between two looks at what is due. */
const lookMsMin = 20;

export class LeaseKeeper implements LeaseHost {
  readonly #channel: Channel;
  readonly #writer = new Writer();
  readonly #leases = new Map<LeaseId, Lease>();
  /** When a keep-alive was sent that is not answered. */
  readonly #sentMs = new Map<LeaseId, number>();
  readonly #backoff = new Backoff();
  #stream: ClientStream | undefined;
  #reopenMs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  async grant({ ttl, id, signal }: LeaseOptions): Promise<Lease> {
    const request = { ttlSec: Math.ceil(ttl), id: LeaseId(id ?? noLease) };
    const ask = async (): Promise<Lease> => {
      const sentMs = performance.now();
      const answer = await this.#channel.unary(
        "/etcdserverpb.Lease/LeaseGrant",
        encodeLeaseGrantRequest(this.#writer, request),
        signal && { signal },
      );
      const granted = parsed(decodeLeaseTtlResponse(answer));
      return new Lease(this, { id: granted.id, ttl: granted.ttlSec, sentMs });
    };
    // A chosen id that was granted although its answer is lost would be refused the second time.
    const lease = await (id === undefined ? untilAnswered(ask, signal) : ask());
    if (this.#channel.closed) throw errStopped;
    this.#leases.set(lease.id, lease);
    this.#arm();
    return lease;
  }

  forget(lease: Lease): void {
    if (!this.#leases.delete(lease.id)) return;
    this.#sentMs.delete(lease.id);
    if (this.#leases.size === 0) this.#closeStream();
  }

  async revoke(id: LeaseId, options: CallOptions): Promise<void> {
    const path = "/etcdserverpb.Lease/LeaseRevoke";
    let tries = 0;
    const revoke = (): Promise<Uint8Array> => {
      tries++;
      return this.#channel.unary(path, encodeLeaseIdRequest(this.#writer, { id }), options);
    };
    try {
      await untilAnswered(revoke, options.signal);
    } catch (error) {
      // The try before did it, and its answer was lost.
      const isGone = error instanceof EtcdError && error.code === StatusCode.notFound;
      if (!isGone || tries === 1) throw error;
    }
  }

  async timeToLive(
    id: LeaseId,
    options: { readonly keys: boolean } & CallOptions,
  ): Promise<TimeToLive> {
    const request = encodeLeaseTimeToLiveRequest(this.#writer, { id, keys: options.keys });
    const path = "/etcdserverpb.Lease/LeaseTimeToLive";
    const answer = await this.#channel.unary(path, request, options);
    const { ttlSec, grantedTtlSec, keys } = parsed(decodeLeaseTimeToLiveResponse(answer));
    return { ttl: ttlSec, grantedTtl: grantedTtlSec, keys: keys.map((key) => key.slice()) };
  }

  /** Nothing is kept alive any more; nobody is told that it is lost before its time. */
  close(): void {
    this.#leases.clear();
    this.#closeStream();
  }

  #look(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    for (const lease of [...this.#leases.values()]) {
      if (lease.deadlineMs <= nowMs) this.#lose(lease);
      else if (lease.nextKeepAliveMs <= nowMs && nowMs >= this.#reopenMs) {
        this.#keepAlive(lease, nowMs);
      }
    }
    this.#arm();
  }

  #keepAlive(lease: Lease, nowMs: number): void {
    this.#stream ??= this.#open();
    this.#sentMs.set(lease.id, nowMs);
    // Again after a ninth of its time if no answer comes.
    lease.nextKeepAliveMs = nowMs + (lease.ttl * 1_000) / 9;
    this.#stream.send(encodeLeaseIdRequest(this.#writer, { id: lease.id }));
  }

  #open(): ClientStream {
    let stream: ClientStream | undefined;
    const isCurrent = (): boolean => stream !== undefined && stream === this.#stream;
    const reader = {
      onMessage: (message: Uint8Array) => {
        if (isCurrent()) this.#onAnswer(message);
      },
      onEnd: (error: EtcdError | undefined) => {
        if (isCurrent()) this.#onEnd(error ?? errStreamEnded);
      },
    };
    stream = this.#channel.stream(keepAlivePath, reader, { followsLeader: true });
    return stream;
  }

  #onAnswer(message: Uint8Array): void {
    const answer = decodeLeaseTtlResponse(message);
    if (answer instanceof Malformed) return;
    this.#backoff.succeeded();
    const lease = this.#leases.get(answer.id);
    const sentMs = this.#sentMs.get(answer.id);
    if (lease === undefined || sentMs === undefined) return;
    if (answer.ttlSec <= 0) this.#lose(lease);
    else {
      this.#sentMs.delete(answer.id);
      lease.nextKeepAliveMs = 0;
      lease.onRenewed(answer.ttlSec, sentMs);
    }
  }

  #onEnd(error: EtcdError): void {
    this.#stream = undefined;
    if (this.#channel.closed || !isTransient(error)) {
      // Leases that cannot be kept are lost when their time is up, not before.
      this.#reopenMs = Number.POSITIVE_INFINITY;
      return;
    }
    const nowMs = performance.now();
    this.#reopenMs = nowMs + this.#backoff.failed();
    // What was on its way may be lost: all is asked again, at once.
    for (const id of this.#sentMs.keys()) {
      const lease = this.#leases.get(id);
      if (lease !== undefined) lease.nextKeepAliveMs = Math.min(lease.nextKeepAliveMs, nowMs);
    }
    this.#arm();
  }

  #lose(lease: Lease): void {
    this.forget(lease);
    lease.onLost(errLeaseNotFound);
  }

  #arm(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#leases.size === 0) return;
    let dueMs = Number.POSITIVE_INFINITY;
    for (const { nextKeepAliveMs, deadlineMs } of this.#leases.values()) {
      dueMs = Math.min(dueMs, deadlineMs, Math.max(nextKeepAliveMs, this.#reopenMs));
    }
    const delayMs = Math.max(lookMsMin, Math.ceil(dueMs - performance.now()));
    this.#timer = setTimeout(() => this.#look(), delayMs);
  }

  #closeStream(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#stream?.cancel();
    this.#stream = undefined;
  }
}
