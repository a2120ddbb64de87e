// Looks at one member while others are loaded: how far it is, how long it is silent, what memory it takes.
import { Reader } from "../../src/proto/reader.ts";
import { GrpcConnection } from "../load/grpcConnection.ts";
import { anonMiB } from "../measure/usage.ts";
import { pause } from "../scale/callers.ts";

const everyMs = 20;
const emptyMessage = new Uint8Array(0);

export interface Position {
  readonly leads: boolean;
  readonly term: number;
  readonly applied: number;
}

/** Asks again and again, one question at a time, and tries anew where nobody answers. */
export class Observer {
  readonly #endpoint: string;
  readonly #pidOf: () => number;
  #isOver = false;
  #connection: GrpcConnection | undefined;
  readonly #terms = new Set<number>();
  #position: Position | undefined;
  #answeredMs = 0;
  #silentMsMax = 0;
  #anonMiBMax = 0;
  readonly #ended: Promise<void>;

  /** @param pidOf of its process as it is now; 0: there is none. */
  constructor(endpoint: string, pidOf: () => number) {
    this.#endpoint = endpoint;
    this.#pidOf = pidOf;
    this.#ended = this.#run();
  }

  /** As it was told last; undefined: nothing yet. */
  get position(): Position | undefined {
    return this.#position;
  }

  /** Longest time from a question to its answer, since it answered first. */
  get silentMsMax(): number {
    return this.#silentMsMax;
  }

  /** Of its process, memory that is no mapped file; the most that was seen. */
  get anonMiBMax(): number {
    return this.#anonMiBMax;
  }

  get termCount(): number {
    return this.#terms.size;
  }

  async end(): Promise<void> {
    this.#isOver = true;
    this.#connection?.close();
    await this.#ended;
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      this.#anonMiBMax = Math.max(this.#anonMiBMax, anonMiB(this.#pidOf()));
      const askedMs = performance.now();
      const position = await this.#ask().catch(() => undefined);
      const now = performance.now();
      if (position !== undefined) {
        if (this.#answeredMs > 0) {
          this.#silentMsMax = Math.max(this.#silentMsMax, now - askedMs);
        }
        this.#answeredMs = now;
        this.#position = position;
        this.#terms.add(position.term);
      }
      await pause(everyMs);
    }
  }

  async #ask(): Promise<Position> {
    if (this.#connection === undefined || this.#connection.isGone) {
      this.#connection = await GrpcConnection.open(this.#endpoint);
    }
    const connection = this.#connection;
    const answer = new Promise<Position>((resolve, reject) => {
      connection.call("/etcdserverpb.Maintenance/Status", emptyMessage, (reply, why) => {
        if (reply === undefined) reject(new Error(why));
        else resolve(positionIn(reply));
      });
    });
    connection.flush();
    return await answer;
  }
}

/** Of a StatusResponse. */
function positionIn(bytes: Uint8Array): Position {
  const reader = new Reader(bytes);
  let [self, leader] = [0n, 0n];
  let [term, applied] = [0, 0];
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) self = memberIn(reader.bytes());
    else if (tag === 0x20) leader = reader.uint64Exact();
    else if (tag === 0x30) term = reader.int64();
    else if (tag === 0x38) applied = reader.int64();
    else reader.skip(tag, 0);
  }
  return { leads: leader !== 0n && leader === self, term, applied };
}

function memberIn(header: Uint8Array): bigint {
  const reader = new Reader(header);
  let id = 0n;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x10) id = reader.uint64Exact();
    else reader.skip(tag, 0);
  }
  return id;
}
