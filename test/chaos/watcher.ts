// A client that watches through every fault: when its stream ends, or by whim, it goes on at another
// member from the revision after the last that it was told of, as a client library does.
import { setTimeout as wait } from "node:timers/promises";
import type { Prng } from "../../src/base/prng.ts";
import { check } from "../sim/violation.ts";
import { decodeMessage, encodeMessage } from "../support/messages.ts";
import { bytesOf, fieldsOf, listOf, pairOf, revisionOf, type SeenPair } from "./call.ts";
import type { ClusterHandle } from "./clusterHandle.ts";
import { GrpcSession, type GrpcStream } from "./grpcSession.ts";

const name = "watcher";
/** Before another member is tried. */
const retryMs = 20;
/** Messages after which it leaves for another member without need, about. */
const roamAfterMessages = 60;
/** Once in so many messages it asks how far it is. */
const progressOdds = 10;
/** A slow one stops reading once in so many messages, for about so long. */
const napOdds = 3;
const napMsMax = 600;

/** The part of the keys that it watches, and how. */
export interface WatchRange {
  readonly from: string;
  /** undefined: the one key. */
  readonly to: string | undefined;
  readonly prevKv: boolean;
  /** Often reads nothing for a while, until the member holds back what it has for it. */
  readonly isSlow?: boolean;
}

export interface WatchedEvent {
  readonly revision: number;
  readonly key: string;
  /** undefined: deleted. */
  readonly pair: SeenPair | undefined;
  readonly previous: SeenPair | undefined;
}

export class Watcher {
  readonly range: WatchRange;
  /** In order of arrival, over all streams. */
  readonly events: WatchedEvent[] = [];
  readonly #cluster: ClusterHandle;
  readonly #random: Prng;
  /** All events up to here have been told, says a member. */
  #told: number;
  #isOver = false;
  #mayNap: boolean;
  #asleep: GrpcStream | undefined;
  #leave: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #fault: Error | undefined;
  /** Streams opened. */
  streams = 0;

  /** @param after the first event that it wants is later than this. */
  constructor(parts: { range: WatchRange; after: number; cluster: ClusterHandle; random: Prng }) {
    this.range = parts.range;
    this.#told = parts.after;
    this.#cluster = parts.cluster;
    this.#random = parts.random;
    this.#mayNap = parts.range.isSlow === true;
  }

  /** It will hear of nothing up to here any more. */
  get told(): number {
    return this.#told;
  }

  /** What a member said to it that none may say. */
  get fault(): Error | undefined {
    return this.#fault;
  }

  begin(): void {
    this.#running = this.#run();
  }

  /** From now on it reads as fast as it can. */
  hurry(): void {
    this.#mayNap = false;
    this.#asleep?.resume();
  }

  /** Never rejects. */
  async end(): Promise<void> {
    this.#isOver = true;
    this.#leave?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#isOver && this.#fault === undefined) {
      const endpoint = this.#cluster.endpoints[this.#random.integer(this.#cluster.names.length)];
      if (endpoint !== undefined) {
        const session = new GrpcSession(endpoint);
        await this.#listen(session);
        session.close();
      }
      await wait(retryMs);
    }
  }

  /** One stream, to its end. */
  #listen(session: GrpcSession): Promise<void> {
    return new Promise((resolve) => {
      let stayFor = 1 + this.#random.integer(2 * roamAfterMessages);
      const stream = session.stream("/etcdserverpb.Watch/Watch", {
        onMessage: (message) => {
          if (this.#isOver || stayFor <= 0 || stream === undefined) return;
          try {
            this.#take(message);
          } catch (error) {
            this.#fault = error instanceof Error ? error : new Error(String(error));
            stayFor = 0;
          }
          if (--stayFor <= 0) stream.cancel();
          else if (this.#mayNap && this.#random.oneIn(napOdds)) this.#nap(stream);
          else if (this.#random.oneIn(progressOdds)) {
            stream.send(encodeMessage("WatchRequest", { progress_request: {} }));
          }
        },
        onEnd: () => resolve(),
      });
      if (stream === undefined) {
        resolve();
        return;
      }
      this.streams++;
      this.#leave = () => stream.cancel();
      this.#create(stream);
    });
  }

  #nap(stream: GrpcStream): void {
    stream.pause();
    this.#asleep = stream;
    setTimeout(() => stream.resume(), this.#random.integer(napMsMax));
  }

  #create(stream: GrpcStream): void {
    const { from, to, prevKv } = this.range;
    stream.send(
      encodeMessage("WatchRequest", {
        create_request: {
          key: bytesOf(from),
          ...(to === undefined ? {} : { range_end: bytesOf(to) }),
          start_revision: this.#told + 1,
          prev_kv: prevKv,
        },
      }),
    );
  }

  #take(message: Buffer): void {
    const answer = decodeMessage("WatchResponse", message);
    const { created, canceled, cancel_reason, compact_revision } = answer;
    const why = `${cancel_reason ?? "no reason"}, compacted ${compact_revision ?? "nothing"}`;
    check(canceled !== true, name, () => `it was cancelled: ${why}`);
    if (created === true) return;
    const revision = revisionOf(answer);
    const events = listOf(answer.events).map(fieldsOf).map(eventOf);
    // Without events it is a progress message: all up to the revision of its header has been told.
    const last = events.at(-1)?.revision ?? revision;
    check(
      revision >= last,
      name,
      () => `events up to ${last} come in a message of revision ${revision}`,
    );
    for (const event of events) {
      check(
        event.revision > this.#told,
        name,
        () => `${event.key} at ${event.revision} comes after all up to ${this.#told} was told`,
      );
      this.events.push(event);
    }
    this.#told = Math.max(this.#told, last);
  }
}

function eventOf(event: Readonly<Record<string, unknown>>): WatchedEvent {
  const kv = fieldsOf(event.kv);
  const pair = pairOf(kv);
  const isDelete = Number(event.type ?? 0) === 1;
  return {
    revision: pair.modified,
    key: `${kv.key}`,
    pair: isDelete ? undefined : pair,
    previous: event.prev_kv === undefined ? undefined : pairOf(fieldsOf(event.prev_kv)),
  };
}
