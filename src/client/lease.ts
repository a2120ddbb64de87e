// One lease, as its holder sees it: kept alive by itself until it is revoked, let go, or lost.
import { LeaseId } from "../base/brand.ts";
import type { CallOptions } from "./channel.ts";

export interface LeaseOptions {
  /** Seconds that it lives on without its holder; the cluster may raise a short one. */
  readonly ttl: number;
  /** A number of your own choice; default: the cluster picks one. */
  readonly id?: bigint;
  /** Ends the grant, not the lease. */
  readonly signal?: AbortSignal;
}

export interface TimeToLive {
  /** Seconds left; -1: there is no such lease. */
  readonly ttl: number;
  readonly grantedTtl: number;
  readonly keys: readonly Uint8Array[];
}

/** Who keeps leases alive. */
export interface LeaseHost {
  /** No more keep-alives. */
  forget(lease: Lease): void;
  revoke(id: LeaseId, options: CallOptions): Promise<void>;
  timeToLive(id: LeaseId, options: { readonly keys: boolean } & CallOptions): Promise<TimeToLive>;
}

export class Lease implements AsyncDisposable {
  readonly id: LeaseId;
  /** Seconds, as granted. */
  readonly ttl: number;
  readonly #host: LeaseHost;
  readonly #lost = new AbortController();
  /** By our own clock, from the sending of the request that was answered: never too late. */
  deadlineMs: number;
  nextKeepAliveMs: number;

  constructor(
    host: LeaseHost,
    { id, ttl, sentMs }: { readonly id: bigint; readonly ttl: number; readonly sentMs: number },
  ) {
    this.#host = host;
    this.id = LeaseId(id);
    this.ttl = ttl;
    this.deadlineMs = sentMs + ttl * 1_000;
    this.nextKeepAliveMs = sentMs + keepAliveEveryMs(ttl);
  }

  /**
   * Aborted when the lease expired or was revoked by somebody else, or when nothing was heard of it for
   * so long that it may have. Not by `revoke` and `letGo`.
   */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** The lease and its keys are gone once this resolves. */
  async revoke(options: CallOptions = {}): Promise<void> {
    this.letGo();
    await this.#host.revoke(this.id, options);
  }

  /** Keeps it alive no longer: it ends by itself unless somebody else keeps it. */
  letGo(): void {
    this.#host.forget(this);
  }

  timeToLive(options: { readonly keys?: boolean } & CallOptions = {}): Promise<TimeToLive> {
    return this.#host.timeToLive(this.id, { ...options, keys: options.keys ?? false });
  }

  onRenewed(ttl: number, sentMs: number): void {
    this.deadlineMs = Math.max(this.deadlineMs, sentMs + ttl * 1_000);
    this.nextKeepAliveMs = Math.max(this.nextKeepAliveMs, sentMs + keepAliveEveryMs(ttl));
  }

  onLost(reason: Error): void {
    this.#lost.abort(reason);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.revoke();
  }
}

/** Two may be lost on their way. */
const keepAliveEveryMs = (ttl: number): number => (ttl * 1_000) / 3;
