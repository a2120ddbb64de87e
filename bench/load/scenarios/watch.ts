// watch, watch-latency: many watchers of one key, and puts to it. What is measured is an event at a
// watcher, its latency the time since its put was sent, which the value carries.

import { encodePutRequest } from "../../../src/proto/encodeRequests.ts";
import { Malformed } from "../../../src/proto/reader.ts";
import { decodeWatchResponse, encodeWatchRequest } from "../../../src/proto/watchCodec.ts";
import { Writer } from "../../../src/proto/writer.ts";
import type { ScenarioOptions } from "../../options.ts";
import type { Caller, MessageStream, OnReply } from "../caller.ts";
import { keyOf, templatePut } from "./keys.ts";
import { putPath } from "./put.ts";
import type { Scenario, ScenarioParts } from "./scenario.ts";

const path = "/etcdserverpb.Watch/Watch";
/** Events may come this long after the last one before they count as lost. */
const silenceMsMax = 10_000;
const stampBytes = 8;

export function watchScenario(parts: ScenarioParts): Scenario {
  return new WatchLoad(parts);
}

class WatchLoad implements Scenario {
  readonly recordsItself = true;
  readonly #parts: ScenarioParts;
  readonly #shape: ScenarioOptions;
  readonly #key: Uint8Array;
  readonly #put: Buffer;
  readonly #stampAt: number;
  /** Started before this run: events of another one are not ours. */
  readonly #bornMs = performance.now();
  #watchers = 0;
  #created = 0;
  #onCreated: (() => void) | undefined;
  #delivered = 0;
  #acknowledged = 0;
  #lastMs = 0;
  #broken: string | undefined;

  constructor(parts: ScenarioParts) {
    this.#parts = parts;
    const { scenario, generator } = parts.task;
    this.#shape = { ...scenario, valSize: Math.max(scenario.valSize, stampBytes) };
    // Each generator has a key of its own, so that it knows which events to expect.
    this.#key = keyOf(scenario.keySize, 0x7fff_0000_0000 + generator);
    const put = { ...templatePut(this.#shape), key: this.#key };
    this.#put = Buffer.from(encodePutRequest(new Writer(), put));
    this.#stampAt = this.#put.indexOf(put.value);
  }

  async prepare(callers: readonly Caller[]): Promise<void> {
    const { watchers, streams } = this.#shape;
    const opened: MessageStream[] = [];
    const conns = [...new Set(callers)];
    for (const caller of conns) {
      for (let i = 0; i < streams; i++) opened.push(this.#open(caller));
    }
    this.#watchers = watchers;
    const created = new Promise<void>((resolve) => {
      this.#onCreated = resolve;
    });
    const create = encodeWatchRequest(new Writer(), { kind: "create", create: this.#create() });
    for (let i = 0; i < watchers; i++) opened[i % opened.length]?.send(create);
    for (const caller of conns) caller.flush();
    await created;
    if (this.#broken !== undefined) throw new Error(`${path}: ${this.#broken}`);
  }

  run(_client: number, caller: Caller, onReply: OnReply): void {
    this.#put.writeDoubleBE(performance.now(), this.#stampAt);
    caller.call(putPath, this.#put, (reply, why) => {
      if (reply !== undefined) this.#acknowledged++;
      onReply(reply, why);
    });
  }

  async finish(): Promise<readonly (readonly [string, number])[]> {
    this.#lastMs = Math.max(this.#lastMs, performance.now());
    while (this.#missing > 0 && performance.now() - this.#lastMs < silenceMsMax) {
      if (this.#broken !== undefined) break;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return this.#missing > 0 ? [[this.#broken ?? "events did not come", this.#missing]] : [];
  }

  get #missing(): number {
    return this.#watchers * this.#acknowledged - this.#delivered;
  }

  #open(caller: Caller): MessageStream {
    return caller.stream(path, {
      onMessage: (message) => this.#onMessage(message),
      onEnd: (why) => {
        this.#broken = why || "the stream ended";
        this.#onCreated?.();
      },
    });
  }

  #onMessage(message: Uint8Array): void {
    const response = decodeWatchResponse(message);
    if (response instanceof Malformed) {
      this.#broken = response.why;
      return;
    }
    if (response.created && ++this.#created === this.#watchers) this.#onCreated?.();
    const nowMs = performance.now();
    for (const { kv } of response.events) {
      if (kv === undefined || kv.value.length < stampBytes) continue;
      const { buffer, byteOffset } = kv.value;
      const sentMs = new DataView(buffer, byteOffset, stampBytes).getFloat64(0);
      if (sentMs < this.#bornMs) continue;
      this.#delivered++;
      this.#lastMs = nowMs;
      this.#parts.recorder.record(nowMs - sentMs, nowMs);
    }
  }

  #create() {
    return {
      key: this.#key,
      rangeEnd: new Uint8Array(0),
      startRevision: 0,
      progressNotify: false,
      filters: [],
      prevKv: false,
      watchId: 0,
      fragment: false,
    };
  }
}
