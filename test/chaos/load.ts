// Clients of one round: each has one request at a time, at any member, and goes elsewhere when that fails.
import { setTimeout as wait } from "node:timers/promises";
import { StatusCode } from "../../src/base/errors.ts";
import { Prng } from "../../src/base/prng.ts";
import type { Guard } from "../sim/operation.ts";
import { Violation } from "../sim/violation.ts";
import { type Call, type CallAction, type KeySpace, learn, wireRequest } from "./call.ts";
import { GrpcSession } from "./grpcSession.ts";
import type { Reachable } from "./reachable.ts";

const clientCount = 8;
/** Pause between two requests of a client, unless said otherwise. */
const thinkMsMax = 12;
/** A request without an answer after this time has an unknown outcome. */
const callMsMax = 800;
/** Before a client tries another member. */
const retryMs = 20;
/** Once in so many requests a client goes elsewhere without need. */
const wanderOdds = 4;

/** Every so many values one is large. */
const largeEvery = 3;
const largeBytes = 24_000;

/** What a member in trouble may say. Anything else is a mistake of ours. */
const honestCodes: ReadonlySet<number> = new Set([
  StatusCode.unavailable,
  StatusCode.deadlineExceeded,
  StatusCode.canceled,
]);

interface Client {
  readonly id: number;
  readonly random: Prng;
  at: number;
  session: GrpcSession | undefined;
  sessionEndpoint: string;
}

export class Load {
  readonly calls: Call[] = [];
  readonly #cluster: Reachable;
  readonly #space: KeySpace;
  readonly #nowUs: () => number;
  readonly #thinkMsMax: number;
  readonly #sights = new Map<string, { value: string | undefined; modified: number }>();
  readonly #clients: readonly Client[];
  #running: Promise<unknown> | undefined;
  #isOver = false;
  #lastValue = 0;
  #answered = 0;
  #revisionMax: number;

  /** @param floor a revision that every member may be expected to know. */
  constructor(parts: {
    seed: number;
    floor: number;
    space: KeySpace;
    cluster: Reachable;
    nowUs: () => number;
    /** Longest pause between two requests of a client; bounds the history. */
    thinkMsMax?: number;
  }) {
    this.#cluster = parts.cluster;
    this.#space = parts.space;
    this.#nowUs = parts.nowUs;
    this.#thinkMsMax = parts.thinkMsMax ?? thinkMsMax;
    this.#revisionMax = parts.floor;
    this.#clients = Array.from({ length: clientCount }, (_, i) => ({
      id: i + 1,
      random: new Prng(parts.seed * 100 + i),
      at: i % parts.cluster.names.length,
      session: undefined,
      sessionEndpoint: "",
    }));
  }

  /** Highest revision that any client has heard of. */
  get revisionMax(): number {
    return this.#revisionMax;
  }

  get answered(): number {
    return this.#answered;
  }

  begin(): void {
    this.#running = Promise.all(this.#clients.map((client) => this.#run(client)));
    // Who awaits the end hears of a violation; until then nobody does.
    this.#running.catch(() => {});
  }

  /** No new requests; resolves when those under way are answered or given up. @throws {Violation} */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#running;
  }

  async #run(client: Client): Promise<void> {
    while (!this.#isOver) {
      if (client.random.oneIn(wanderOdds))
        client.at = client.random.integer(this.#cluster.names.length);
      const isHappy = await this.#ask(client, this.#next(client));
      if (!isHappy) client.at = (client.at + 1) % this.#cluster.names.length;
      await wait(isHappy ? client.random.integer(this.#thinkMsMax + 1) : retryMs);
    }
    client.session?.close();
  }

  /** @returns whether an answer came. */
  async #ask(client: Client, action: CallAction): Promise<boolean> {
    const session = this.#session(client);
    const member = this.#cluster.names[client.at];
    if (session === undefined || member === undefined) return false;
    const { path, message } = wireRequest(action, this.#space);
    const call: Call = {
      id: this.calls.length + 1,
      client: client.id,
      member,
      action,
      floor: this.#revisionMax,
      callUs: this.#nowUs(),
      state: "open",
      returnUs: Number.POSITIVE_INFINITY,
      revision: 0,
      seen: undefined,
      pairs: undefined,
      deleted: 0,
      swapped: false,
    };
    this.calls.push(call);
    const answer = await session.call(path, message, callMsMax);
    switch (answer.kind) {
      case "ok":
        call.returnUs = this.#nowUs();
        call.state = "done";
        learn(call, answer.message);
        this.#remember(call);
        return true;
      case "unsent":
        call.state = "failed";
        return false;
      case "lost":
        call.state = "unknown";
        return false;
      case "refused":
        call.state = "unknown";
        if (honestCodes.has(answer.code)) return false;
        throw new Violation("load", `#${call.id} is refused: ${answer.code} ${answer.text}`);
    }
  }

  #session(client: Client): GrpcSession | undefined {
    const endpoint = this.#cluster.endpoints[client.at];
    if (client.session?.isOpen !== true || client.sessionEndpoint !== endpoint) {
      client.session?.close();
      client.session = endpoint === undefined ? undefined : new GrpcSession(endpoint);
      client.sessionEndpoint = endpoint ?? "";
    }
    return client.session;
  }

  #remember(call: Call): void {
    this.#answered++;
    this.#revisionMax = Math.max(this.#revisionMax, call.revision);
    const { action, client } = call;
    if (action.kind === "get" && call.pairs !== undefined) {
      const pair = call.pairs.get(action.key);
      const sight = { value: pair?.value, modified: pair?.modified ?? 0 };
      this.#sights.set(`${client} ${action.key}`, sight);
    } else if (action.kind === "put") {
      const sight = { value: action.value, modified: call.revision };
      this.#sights.set(`${client} ${action.key}`, sight);
    }
  }

  #next({ id, random }: Client): CallAction {
    const key = this.#key(random);
    const kind = random.integer(100);
    if (kind < 10) return { kind: "delete", key };
    if (kind < 18) return this.#pair(random);
    if (kind < 36)
      return { kind: "swap", key, guard: this.#guard(id, key, random), value: this.#value() };
    if (kind < 58) return { kind: "get", key, serializable: random.oneIn(6) };
    if (kind < 66) return { kind: "list", serializable: random.oneIn(4) };
    return { kind: "put", key, value: this.#value() };
  }

  #pair(random: Prng): CallAction {
    const [a, b] = [this.#key(random), this.#key(random)];
    if (a === b) return { kind: "put", key: a, value: this.#value() };
    return { kind: "pair", keys: [a, b], value: this.#value() };
  }

  #guard(client: number, key: string, random: Prng): Guard {
    const { value, modified } = this.#sights.get(`${client} ${key}`) ?? {
      value: undefined,
      modified: 0,
    };
    if (random.oneIn(2)) return { kind: "mod", revision: modified, value };
    return value === undefined ? { kind: "absent" } : { kind: "value", value };
  }

  #key(random: Prng): string {
    const { keys, from } = this.#space;
    return keys[random.integer(keys.length)] ?? from;
  }

  #value(): string {
    const value = `v${++this.#lastValue}`;
    // Enough for the backlog of a stream that nobody reads for half a second.
    return this.#lastValue % largeEvery === 0 ? value.padEnd(largeBytes, ".") : value;
  }
}
