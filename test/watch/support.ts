// A store with a hub over it, streams whose client may stop reading, and what each watcher was sent.
import { LogIndex, noLease, Term } from "../../src/base/brand.ts";
import { fromLatin1 } from "../../src/base/bytes.ts";
import { Prng } from "../../src/base/prng.ts";
import { pairOf, rowKeyText, rowModRevision, rowValue } from "../../src/mvcc/row.ts";
import { Store } from "../../src/mvcc/store.ts";
import { MemoryEngine } from "../../src/storage/memory.ts";
import { WatchHub, type WatchLimits } from "../../src/watch/hub.ts";
import type { EventMessage } from "../../src/watch/message.ts";
import type { WatchSink, WatchStream, WatchWants } from "../../src/watch/stream.ts";
import { Want, type WatcherId } from "../../src/watch/watcher.ts";

export interface SentEvent {
  readonly kind: string;
  readonly key: string;
  readonly value: string;
  readonly revision: number;
  readonly prev: string | undefined;
}

/** Events as text: tests read them back. */
export function encodeAsText(
  kind: "put" | "delete",
  row: Uint8Array,
  prevRow: Uint8Array | undefined,
): Uint8Array {
  const event: SentEvent = {
    kind,
    key: rowKeyText(row),
    value: textOf(rowValue(row)),
    revision: rowModRevision(row),
    prev: prevRow === undefined ? undefined : textOf(rowValue(prevRow)),
  };
  return Buffer.from(JSON.stringify(event));
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");
const eventOf = (bytes: Uint8Array): SentEvent => JSON.parse(textOf(bytes));

/** What one watcher was sent, in order. */
export interface Record {
  readonly messages: { readonly revision: number; readonly events: readonly SentEvent[] }[];
  readonly fragments: boolean[];
  readonly progress: number[];
  compacted: number | undefined;
}

/** A client that takes messages while `open`, and one more. */
export class TestSink implements WatchSink {
  readonly records = new Map<WatcherId, Record>();
  readonly progress: number[] = [];
  stopped = false;
  open = true;
  onProgressHeard: (id: WatcherId | undefined, revision: number) => void = () => {};

  record(id: WatcherId): Record {
    let record = this.records.get(id);
    if (record === undefined) {
      record = { messages: [], fragments: [], progress: [], compacted: undefined };
      this.records.set(id, record);
    }
    return record;
  }

  events(id: WatcherId): readonly SentEvent[] {
    return this.record(id).messages.flatMap((message) => message.events);
  }

  onEvents(id: WatcherId, message: EventMessage): boolean {
    const record = this.record(id);
    record.messages.push({ revision: message.revision, events: message.events.map(eventOf) });
    record.fragments.push(message.fragment);
    return this.open;
  }

  onCompacted(id: WatcherId, compactRevision: number): boolean {
    this.record(id).compacted = compactRevision;
    return this.open;
  }

  onProgress(id: WatcherId | undefined, revision: number): boolean {
    this.onProgressHeard(id, revision);
    if (id === undefined) this.progress.push(revision);
    else this.record(id).progress.push(revision);
    return this.open;
  }

  onStopped(): void {
    this.stopped = true;
  }
}

export type Step = { readonly put: string; readonly value: string } | { readonly del: string };

export class WatchHarness {
  readonly engine = new MemoryEngine({ defer: (run) => void this.#deferred.push(run) });
  store: Store;
  readonly hub: WatchHub;
  wakes = 0;
  #deferred: (() => void)[] = [];
  #index = 0;

  constructor(options: { limits?: Partial<WatchLimits>; progressTicks?: number } = {}) {
    this.store = Store.open(this.engine, { recentBytesMax: 0 });
    this.hub = new WatchHub({
      store: this.store,
      encode: encodeAsText,
      random: new Prng(1),
      wake: () => void this.wakes++,
      progressTicks: options.progressTicks ?? 10,
      limits: options.limits ?? {},
    });
  }

  put(key: string, value = "v"): number {
    return this.txn([{ put: key, value }]);
  }

  delete(key: string): number {
    return this.txn([{ del: key }]);
  }

  /** @returns the revision after it. */
  txn(steps: readonly Step[]): number {
    const { write } = this.store;
    write.begin();
    for (const step of steps) {
      if ("put" in step) write.put(pairOf(fromLatin1(step.put), fromLatin1(step.value)), noLease);
      else write.deleteKey(fromLatin1(step.del));
    }
    return write.end();
  }

  /** All applied changes reach the engine. */
  flush(): void {
    this.#index++;
    const batch = this.store.takeBatch({ index: LogIndex(this.#index), term: Term(1) });
    if (batch === undefined) return;
    this.engine.submit(batch, () => this.store.flushed());
    for (const run of this.#deferred.splice(0)) run();
  }

  /** The floor rises, and everything below it goes. */
  compact(revision: number): void {
    this.store.compact(revision);
    for (let steps = 0; steps < 1000 && this.store.sweep(10_000); steps++) this.flush();
    this.flush();
  }

  /** Turns until nothing is left to do. @returns how many. */
  settle(): number {
    for (let turns = 1; turns < 100_000; turns++) if (!this.hub.turn()) return turns;
    throw new Error("the hub does not come to rest");
  }

  open(): { sink: TestSink; stream: WatchStream } {
    const sink = new TestSink();
    return { sink, stream: this.hub.open(sink) };
  }
}

function wantsOf(bits: number): WatchWants {
  return {
    prevKv: (bits & Want.prevKv) !== 0,
    noPut: (bits & Want.noPut) !== 0,
    noDelete: (bits & Want.noDelete) !== 0,
    fragment: (bits & Want.fragment) !== 0,
    progress: (bits & Want.progress) !== 0,
  };
}

/** What to watch: "a" one key, "a.." from a on, "a..c" a range. */
export function spec(
  text: string,
  more: { start?: number; wants?: number; id?: WatcherId } = {},
): Parameters<WatchStream["create"]>[0] {
  const [from = "", to] = text.split("..");
  const end = to === "" ? "\0" : (to ?? "");
  return {
    key: Buffer.from(from, "latin1"),
    rangeEnd: Buffer.from(end, "latin1"),
    start: more.start ?? 0,
    wants: wantsOf(more.wants ?? 0),
    id: more.id ?? 0,
  };
}
