// Clients that hold leases through every fault, and judge for themselves: a lease is never shorter than it
// was promised, a revoked one is gone with its key. What is let go is to end by itself, later.
import { setTimeout as wait } from "node:timers/promises";
import { Prng } from "../../src/base/prng.ts";
import { check } from "../sim/violation.ts";
import { decodeMessage, encodeMessage } from "../support/messages.ts";
import { bytesOf, fieldsOf, listOf } from "./call.ts";
import { type GrpcAnswer, GrpcSession } from "./grpcSession.ts";
import type { Reachable } from "./reachable.ts";

const name = "leases";
const clientCount = 3;
/** Shorter ones are raised by the members: what counts is what they answer. */
const ttlSecMax = 2;
const callMsMax = 800;
const thinkMsMax = 60;
const retryMs = 20;
/** Acts with one lease before it is let go or revoked. */
const actsMax = 20;

/** Where the keys of leases are, of all rounds: [from, to). */
export const leaseKeys = { from: "l", to: "m" } as const;

/** One lease as its owner knows it; times are microseconds since the round began. */
export interface HeldLease {
  readonly id: string;
  readonly key: string;
  /** It lives at least until then, whatever happens: unless it is revoked. */
  untilUs: number;
}

export class LeaseLoad {
  readonly #seed: number;
  readonly #cluster: Reachable;
  readonly #nowUs: () => number;
  #running: Promise<unknown> | undefined;
  #isOver = false;
  #lastId = 0;
  /** Answers that were judged. */
  judged = 0;

  constructor(parts: { seed: number; cluster: Reachable; nowUs: () => number }) {
    this.#seed = parts.seed;
    this.#cluster = parts.cluster;
    this.#nowUs = parts.nowUs;
  }

  begin(): void {
    const clients = Array.from({ length: clientCount }, (_, i) => this.#run(i));
    this.#running = Promise.all(clients);
    // Who awaits the end hears of a violation; until then nobody does.
    this.#running.catch(() => {});
  }

  /** @throws {Violation} */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#running;
  }

  async #run(client: number): Promise<void> {
    const random = new Prng(this.#seed * 100 + 80 + client);
    while (!this.#isOver) {
      const caller = new Caller(this.#cluster, random);
      await this.#hold(caller, random);
      caller.close();
      await wait(retryMs);
    }
  }

  /** One lease, from its grant to its end. */
  async #hold(caller: Caller, random: Prng): Promise<void> {
    const id = `${this.#seed * 10_000 + ++this.#lastId}`;
    const ttl = 1 + random.integer(ttlSecMax);
    const lease = { id, key: `${leaseKeys.from}${id}`, untilUs: 0 };
    const granted = await this.#ask(caller, lease, "LeaseGrant", { ID: id, TTL: ttl });
    if (granted === undefined) return;
    const put = { key: bytesOf(lease.key), value: bytesOf(id), lease: id };
    const attached = await caller.call("KV/Put", "PutRequest", put);
    if (attached.kind !== "ok") return;
    for (let act = random.integer(actsMax); act >= 0 && !this.#isOver; act--) {
      await wait(random.integer(thinkMsMax));
      if (random.oneIn(3)) await this.#ask(caller, lease, "LeaseKeepAlive", { ID: id });
      else await this.#look(caller, lease);
    }
    if (random.oneIn(2)) await this.#revoke(caller, lease);
  }

  /** Grants or renews it. @returns undefined without an answer. */
  async #ask(
    caller: Caller,
    lease: HeldLease,
    verb: "LeaseGrant" | "LeaseKeepAlive",
    fields: object,
  ): Promise<number | undefined> {
    const callUs = this.#nowUs();
    const answer = await caller.call(`Lease/${verb}`, `${verb}Request`, fields);
    if (answer.kind !== "ok") return undefined;
    const ttlSec = Number(decodeMessage(`${verb}Response`, answer.message).TTL ?? 0);
    this.judged++;
    if (ttlSec <= 0) judgeGone(lease, this.#nowUs(), verb);
    else lease.untilUs = Math.max(lease.untilUs, callUs + ttlSec * 1e6);
    return ttlSec;
  }

  async #look(caller: Caller, lease: HeldLease): Promise<void> {
    const range = { key: bytesOf(lease.key) };
    const answer = await caller.call("KV/Range", "RangeRequest", range);
    if (answer.kind !== "ok") return;
    this.judged++;
    const { kvs } = decodeMessage("RangeResponse", answer.message);
    if (listOf(kvs).length === 0) judgeGone(lease, this.#nowUs(), "Range");
    else
      check(fieldsOf(listOf(kvs)[0]).lease === lease.id, name, () => `${lease.key} lost its lease`);
  }

  async #revoke(caller: Caller, lease: HeldLease): Promise<void> {
    const revoked = await caller.call("Lease/LeaseRevoke", "LeaseRevokeRequest", { ID: lease.id });
    if (revoked.kind !== "ok") return;
    const range = { key: bytesOf(lease.key) };
    const answer = await caller.call("KV/Range", "RangeRequest", range);
    if (answer.kind !== "ok") return;
    this.judged++;
    const { kvs } = decodeMessage("RangeResponse", answer.message);
    check(listOf(kvs).length === 0, name, () => `${lease.key} outlives the end of its lease`);
  }
}

/** @throws {Violation} when it was promised for longer. */
export function judgeGone(lease: HeldLease, nowUs: number, seenBy: string): void {
  check(
    nowUs >= lease.untilUs,
    name,
    () =>
      `${seenBy} says at ${nowUs} that lease ${lease.id} is gone: it lives until ${lease.untilUs}`,
  );
}

/** Asks one member after the other, whoever answers. */
class Caller {
  readonly #cluster: Reachable;
  readonly #random: Prng;
  #session: GrpcSession | undefined;

  constructor(cluster: Reachable, random: Prng) {
    this.#cluster = cluster;
    this.#random = random;
  }

  async call(method: string, type: string, fields: object): Promise<GrpcAnswer> {
    if (this.#session?.isOpen !== true || this.#random.oneIn(4)) this.#move();
    const session = this.#session;
    if (session === undefined) {
      await wait(retryMs);
      return { kind: "unsent", why: "the process is down" };
    }
    const path = `/etcdserverpb.${method}`;
    const answer = await session.call(path, encodeMessage(type, fields), callMsMax);
    if (answer.kind !== "ok") this.#move();
    return answer;
  }

  close(): void {
    this.#session?.close();
  }

  #move(): void {
    this.#session?.close();
    const { names, endpoints } = this.#cluster;
    const endpoint = endpoints[this.#random.integer(names.length)];
    this.#session = endpoint === undefined ? undefined : new GrpcSession(endpoint);
  }
}
