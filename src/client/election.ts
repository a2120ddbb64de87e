// An election: one leader at a time, who says something that everybody can read.
import { EtcdError, StatusCode } from "../base/errors.ts";
import { linePrefix, placeKey } from "../base/lineKeys.ts";
import type { CallOptions } from "./channel.ts";
import type { Client } from "./client.ts";
import type { Lease } from "./lease.ts";
import { type HoldOptions, leave, leaveQuietly, ttlDefault } from "./lock.ts";
import { anyOf, awaitTurn, type Place, reasonOf, takePlace } from "./queue.ts";
import { type Bytes, toBytes } from "./requests.ts";
import type { Pair } from "./results.ts";
import { untilAnswered } from "./retry.ts";
import { compare, op } from "./txn.ts";
import { CompactedError } from "./watchEvent.ts";

/** Texts as etcd's Go client has them. */
export const errNotLeader = new EtcdError(StatusCode.failedPrecondition, "election: not leader");

export class Election {
  readonly #client: Client;
  readonly #name: Bytes;

  constructor(client: Client, name: Bytes) {
    this.#client = client;
    this.#name = name;
  }

  /** Stands in line until we lead; `value` is what the others read then. */
  async campaign(value: Bytes, options: HoldOptions = {}): Promise<Leadership> {
    const { ttl = ttlDefault, lease: given, signal } = options;
    const lease = given ?? (await this.#client.lease({ ttl, ...(signal && { signal }) }));
    const held = { lease, owns: given === undefined };
    const ended = anyOf([signal, lease.lost]);
    const client = this.#client;
    try {
      const place = await takePlace(client, { name: this.#name, lease, value }, ended.signal);
      const leadership = new Leadership(client, place, held);
      if (place.found !== undefined && !isSame(place.found.value, toBytes(value))) {
        await leadership.proclaim(value, { signal: ended.signal });
      }
      await awaitTurn(client, this.#name, { place, signal: ended.signal });
      return leadership;
    } catch (error) {
      await leaveQuietly(client, placeKey(toBytes(this.#name), lease.id), held);
      throw reasonOf(error, lease);
    } finally {
      ended.dispose();
    }
  }

  /** The leader's key and what it says; undefined: nobody leads. */
  async leader(options: CallOptions = {}): Promise<Pair | undefined> {
    return (await this.#look(options)).pair;
  }

  /** What leaders say from now on, the present one first. Goes on by itself when members die. */
  async *observe({ signal }: { readonly signal?: AbortSignal } = {}): AsyncGenerator<Pair, void> {
    const options = signal && { signal };
    for (;;) {
      const { pair, revision } = await untilAnswered(() => this.#look(options), signal);
      try {
        if (pair !== undefined) yield* this.#reign(pair, { from: revision + 1, ...options });
        else await this.#firstComer({ from: revision + 1, ...options });
      } catch (error) {
        // Looked at again: what was compacted is told by what is there now.
        if (!(error instanceof CompactedError)) throw error;
      }
    }
  }

  async #look(options: CallOptions = {}): Promise<{ pair: Pair | undefined; revision: number }> {
    const first = { sortBy: "create", order: "ascend", limit: 1, ...options } as const;
    const answer = await this.#client.getAll({ prefix: linePrefix(toBytes(this.#name)) }, first);
    return { pair: answer.pairs[0], revision: answer.header.revision };
  }

  /** Everything that one leader says, to his end. */
  async *#reign(
    leader: Pair,
    options: { readonly from: number; readonly signal?: AbortSignal },
  ): AsyncGenerator<Pair, void> {
    const watch = this.#client.watch(leader.key, options);
    try {
      yield leader;
      for await (const { kind, pair } of watch) {
        if (kind === "delete") return;
        yield pair;
      }
    } finally {
      watch.close();
    }
  }

  async #firstComer(options: { readonly from: number; readonly signal?: AbortSignal }) {
    const prefix = linePrefix(toBytes(this.#name));
    const watch = this.#client.watch({ prefix }, { ...options, filters: ["noDelete"] });
    for await (const _ of watch) return;
  }
}

/** Being the leader: while `lost` is not aborted. */
export class Leadership implements AsyncDisposable {
  readonly key: Uint8Array;
  /** Grows from leader to leader. */
  readonly revision: number;
  readonly lease: Lease;
  readonly #client: Client;
  readonly #held: { readonly lease: Lease; readonly owns: boolean };

  constructor(client: Client, place: Place, held: { lease: Lease; owns: boolean }) {
    this.#client = client;
    this.key = place.key;
    this.revision = place.revision;
    this.lease = held.lease;
    this.#held = held;
  }

  /** Aborted when the lease could not be kept: another may lead by now. */
  get lost(): AbortSignal {
    return this.lease.lost;
  }

  /** Says something new. @throws errNotLeader when we lead no longer. */
  async proclaim(value: Bytes, options: CallOptions = {}): Promise<void> {
    const { succeeded } = await untilAnswered(
      () =>
        this.#client
          .txn()
          .if(compare(this.key).createRevision("=", this.revision))
          .then(op.put(this.key, value, { lease: this.lease.id }))
          .commit(options),
      options.signal,
    );
    if (!succeeded) throw errNotLeader;
  }

  /** Leads no longer: the next one in line does. */
  resign(): Promise<void> {
    return leave(this.#client, this.key, this.#held);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.resign();
  }
}

const isSame = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);
