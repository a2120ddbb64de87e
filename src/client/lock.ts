// A lock that the cluster keeps: whoever holds it has a lease, and loses it with the lease.
import { placeKey } from "../base/lineKeys.ts";
import type { Client } from "./client.ts";
import type { Lease } from "./lease.ts";
import { anyOf, awaitTurn, type Place, reasonOf, takePlace } from "./queue.ts";
import { type Bytes, toBytes } from "./requests.ts";
import { pause, untilAnswered } from "./retry.ts";

export interface HoldOptions {
  /** Seconds until the others go on when the holder dies. Default 10. */
  readonly ttl?: number;
  /** A lease of your own instead: it outlives the lock. */
  readonly lease?: Lease;
  /** Aborting gives up waiting. */
  readonly signal?: AbortSignal;
}

const leaveMsMax = 2_000;
/** Seconds. */
export const ttlDefault = 10;

export class Lock implements AsyncDisposable {
  readonly key: Uint8Array;
  /** Grows from holder to holder: who stores it with what he writes can refuse a holder of before. */
  readonly revision: number;
  readonly lease: Lease;
  readonly #client: Client;
  readonly #ownsLease: boolean;

  constructor(client: Client, place: Place, { lease, owns }: { lease: Lease; owns: boolean }) {
    this.#client = client;
    this.key = place.key;
    this.revision = place.revision;
    this.lease = lease;
    this.#ownsLease = owns;
  }

  /** Aborted when the lease could not be kept: the lock may be somebody else's by now. */
  get lost(): AbortSignal {
    return this.lease.lost;
  }

  /** The next one in line goes on. */
  async unlock(): Promise<void> {
    await leave(this.#client, this.key, { lease: this.lease, owns: this.#ownsLease });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.unlock();
  }
}

/** Stands in line until the lock is ours. */
export async function acquireLock(
  client: Client,
  name: Bytes,
  { ttl = ttlDefault, lease: given, signal }: HoldOptions,
): Promise<Lock> {
  const lease = given ?? (await client.lease({ ttl, ...(signal && { signal }) }));
  const held = { lease, owns: given === undefined };
  const ended = anyOf([signal, lease.lost]);
  try {
    const place = await takePlace(client, { name, lease, value: "" }, ended.signal);
    await awaitTurn(client, name, { place, signal: ended.signal });
    return new Lock(client, place, held);
  } catch (error) {
    await leaveQuietly(client, placeKey(toBytes(name), lease.id), held);
    throw reasonOf(error, lease);
  } finally {
    ended.dispose();
  }
}

interface Held {
  readonly lease: Lease;
  readonly owns: boolean;
}

/** Takes the key away, with its lease where that is ours alone. */
export async function leave(client: Client, key: Uint8Array, { lease, owns }: Held): Promise<void> {
  if (lease.lost.aborted) return;
  if (owns) await lease.revoke();
  else await untilAnswered(() => client.delete(key), undefined);
}

/** For those who fail anyway: they wait for it only so long. What cannot be taken away ends with the lease. */
export async function leaveQuietly(client: Client, key: Uint8Array, held: Held): Promise<void> {
  const done = new AbortController();
  leave(client, key, held)
    .catch(() => held.owns && held.lease.letGo())
    .finally(() => done.abort());
  await pause(leaveMsMax, done.signal);
}
