// What the tester asks the members when a round is over: do they serve, where are they, what do they hold.
import { setTimeout as wait } from "node:timers/promises";
import { emptyBytes } from "../../src/base/bytes.ts";
import { check } from "../sim/violation.ts";
import { decodeMessage, encodeMessage } from "../support/messages.ts";
import {
  bytesOf,
  fieldsOf,
  type KeySpace,
  listOf,
  pairsOf,
  revisionOf,
  type SeenPair,
} from "./call.ts";
import type { MemberIds } from "./checkers/members.ts";
import { GrpcSession } from "./grpcSession.ts";
import type { Reachable } from "./reachable.ts";

/** From the end of the faults until a member answers; far above any election, for a starved machine. */
const serveMsMax = 60_000;
/** One try of that. */
const tryMsMax = 10_000;
const retryMs = 10;
/** Revisions asked for in one txn: etcd allows 128 operations, and values are large. */
const revisionsPerTxn = 20;

type Fields = Readonly<Record<string, unknown>>;

/** State of a round's keys as of each revision; position is revision - `from`. */
export interface Past {
  /** The state before the round. */
  readonly from: number;
  readonly states: readonly ReadonlyMap<string, SeenPair>[];
}

export class Probe {
  readonly #cluster: Reachable;
  readonly #sessions = new Map<string, GrpcSession>();

  constructor(cluster: Reachable) {
    this.#cluster = cluster;
  }

  /**
   * Resolves when every member answers a linearizable read.
   *
   * @returns a revision that all of them have reached.
   * @throws when one does not in time, or does not reach what another one had.
   */
  async awaitAll(): Promise<number> {
    const endMs = performance.now() + serveMsMax;
    const ask = (): Promise<readonly number[]> =>
      Promise.all(this.#cluster.names.map((_, at) => this.#revision(at, endMs)));
    const revision = Math.max(...(await ask()));
    // What one of them had, a read that begins now waits for on all of them.
    for (const [at, later] of (await ask()).entries()) {
      check(
        later >= revision,
        "equalState",
        () => `${this.#cluster.names[at]} is at ${later} where others have been at ${revision}`,
      );
    }
    return revision;
  }

  /** Of one member. @param revision it must have reached it. */
  async hash(at: number, revision: number): Promise<number> {
    const path = "/etcdserverpb.Maintenance/HashKV";
    const message = encodeMessage("HashKVRequest", { revision });
    return Number((await this.#ask(at, path, message, "HashKVResponse")).hash ?? 0);
  }

  /** Everything in [from, to), linearizable. */
  async range(at: number, from: string, to: string): Promise<ReadonlyMap<string, SeenPair>> {
    const message = encodeMessage("RangeRequest", { key: bytesOf(from), range_end: bytesOf(to) });
    return pairsOf(await this.#ask(at, "/etcdserverpb.KV/Range", message, "RangeResponse"));
  }

  /** Ids of the members, as each of them tells them. */
  lists(): Promise<readonly MemberIds[]> {
    const message = encodeMessage("MemberListRequest", { linearizable: true });
    const path = "/etcdserverpb.Cluster/MemberList";
    return Promise.all(
      this.#cluster.names.map(async (_, at) => {
        const answer = await this.#ask(at, path, message, "MemberListResponse");
        return listOf(answer.members).map((member) => `${fieldsOf(member).ID}`);
      }),
    );
  }

  /**
   * Each member tells a part of it, so that members that differ do not tell one story. One answer of a
   * member at a time: all of them are some 50 MB, which take a starved machine longer than any bound.
   */
  async past(space: KeySpace, revisions: { from: number; last: number }): Promise<Past> {
    const { from, last } = revisions;
    const count = this.#cluster.names.length;
    const parts: (readonly ReadonlyMap<string, SeenPair>[])[] = [];
    const ask = async (at: number): Promise<void> => {
      const step = count * revisionsPerTxn;
      for (let start = from + at * revisionsPerTxn; start <= last; start += step) {
        const part = { from: start, last: Math.min(last, start + revisionsPerTxn - 1) };
        parts[(start - from) / revisionsPerTxn] = await this.#states(at, space, part);
      }
    };
    await Promise.all(Array.from({ length: count }, (_, at) => ask(at)));
    return { from, states: parts.flat() };
  }

  /** Asks one member to forget what came before `revision`; whatever becomes of it. */
  async compact(at: number, revision: number): Promise<void> {
    const message = encodeMessage("CompactionRequest", { revision });
    if (this.#cluster.endpoints[at] === undefined) return;
    await this.#call(at, "/etcdserverpb.KV/Compact", message, tryMsMax);
  }

  /** Has one member build its store anew. @returns whether it said that it did. */
  async defragment(at: number): Promise<boolean> {
    if (this.#cluster.endpoints[at] === undefined) return false;
    const path = "/etcdserverpb.Maintenance/Defragment";
    return (await this.#call(at, path, emptyBytes, tryMsMax)).kind === "ok";
  }

  close(): void {
    for (const session of this.#sessions.values()) session.close();
    this.#sessions.clear();
  }

  async #states(
    at: number,
    { from, to }: KeySpace,
    revisions: { from: number; last: number },
  ): Promise<readonly ReadonlyMap<string, SeenPair>[]> {
    const success = Array.from({ length: revisions.last - revisions.from + 1 }, (_, i) => ({
      request_range: {
        key: bytesOf(from),
        range_end: bytesOf(to),
        revision: revisions.from + i,
        serializable: true,
      },
    }));
    const message = encodeMessage("TxnRequest", { success });
    const answer = await this.#ask(at, "/etcdserverpb.KV/Txn", message, "TxnResponse");
    return listOf(answer.responses).map((each) => pairsOf(fieldsOf(fieldsOf(each).response_range)));
  }

  async #revision(at: number, endMs: number): Promise<number> {
    const message = encodeMessage("RangeRequest", { key: bytesOf("k"), count_only: true });
    for (;;) {
      const answer = await this.#call(at, "/etcdserverpb.KV/Range", message, tryMsMax);
      if (answer.kind === "ok") return revisionOf(decodeMessage("RangeResponse", answer.message));
      if (performance.now() > endMs) {
        const why = `${this.#cluster.names[at]} does not serve ${serveMsMax} ms after the faults`;
        throw new Error(`${why}: ${JSON.stringify(answer)}\n${this.#cluster.output}`);
      }
      await wait(retryMs);
    }
  }

  async #ask(at: number, path: string, message: Uint8Array, type: string): Promise<Fields> {
    const answer = await this.#call(at, path, message, serveMsMax);
    if (answer.kind === "ok") return decodeMessage(type, answer.message);
    throw new Error(
      `${this.#cluster.names[at]} does not answer ${path}: ${JSON.stringify(answer)}`,
    );
  }

  #call(
    at: number,
    path: string,
    message: Uint8Array,
    msMax: number,
  ): ReturnType<GrpcSession["call"]> {
    const endpoint = this.#cluster.endpoints[at];
    if (endpoint === undefined) throw new Error(`${this.#cluster.names[at]} is down`);
    const known = this.#sessions.get(endpoint);
    const session = known?.isOpen === true ? known : new GrpcSession(endpoint);
    this.#sessions.set(endpoint, session);
    return session.call(path, message, msMax);
  }
}
