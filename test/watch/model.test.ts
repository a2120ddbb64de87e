// Random histories, watchers and slow clients against a list of everything that ever happened.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { WatchStream } from "../../src/watch/stream.ts";
import { Want, type WatcherId } from "../../src/watch/watcher.ts";
import { type SentEvent, type Step, spec, type TestSink, WatchHarness } from "./support.ts";

const keys = ["a", "aa", "b", "ba", "c", "d"];
const targets = ["a", "b", "c", "a..b", "a..c", "b..", "a..", "aa..ba", "d..e"];
const keyArb = fc.constantFrom(...keys);
const stepArb: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ put: keyArb, value: fc.constantFrom("1", "2", "3") }),
  fc.record({ del: keyArb }),
);

type Act =
  | { readonly kind: "txn"; readonly steps: readonly Step[] }
  | { readonly kind: "burst"; readonly count: number }
  | {
      readonly kind: "watch";
      readonly stream: number;
      readonly target: string;
      readonly start: number;
      readonly wants: number;
    }
  | { readonly kind: "cancel" | "progress" | "shut" | "drain" | "close"; readonly stream: number }
  | { readonly kind: "compact"; readonly back: number; readonly sweep: boolean }
  | { readonly kind: "turn" | "flush" | "tick" | "rebind" };

const streamArb = fc.nat(2);
const actArb: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("txn" as const),
      steps: fc.uniqueArray(stepArb, {
        minLength: 1,
        maxLength: 4,
        selector: (step) => ("put" in step ? step.put : step.del),
      }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("burst" as const),
      count: fc.integer({ min: 1, max: 1500 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("watch" as const),
      stream: streamArb,
      target: fc.constantFrom(...targets),
      start: fc.oneof(fc.constant(0), fc.integer({ min: -40, max: 8 })),
      wants: fc.nat(31),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom("cancel", "progress", "shut", "drain", "drain", "close"),
      stream: streamArb,
    }) as fc.Arbitrary<Act>,
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("compact" as const),
      back: fc.nat(10),
      sweep: fc.boolean(),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom("turn", "turn", "flush", "tick", "rebind"),
    }) as fc.Arbitrary<Act>,
  },
);

interface Expected {
  readonly sink: TestSink;
  readonly stream: WatchStream;
  readonly id: WatcherId;
  readonly target: string;
  readonly first: number;
  readonly wants: number;
  over: boolean;
}

/** What the hub should do, by brute force. */
class Model {
  readonly harness = new WatchHarness({ progressTicks: 3 });
  readonly events: SentEvent[] = [];
  readonly values = new Map<string, string>();
  readonly watchers: Expected[] = [];
  readonly streams = Array.from({ length: 3 }, () => this.#open());
  floor = -1;

  run(act: Act): void {
    const { harness } = this;
    switch (act.kind) {
      case "txn":
        this.txn(act.steps);
        break;
      case "burst":
        for (let i = 0; i < act.count; i++) this.txn([{ put: "a", value: String(i % 7) }]);
        break;
      case "watch":
        this.#watch(act);
        break;
      case "compact":
        this.#compact(act.back, act.sweep);
        break;
      case "turn":
        harness.hub.turn();
        break;
      case "flush":
        harness.flush();
        break;
      case "tick":
        harness.hub.tick();
        break;
      case "rebind":
        harness.hub.rebind(harness.store);
        break;
      default:
        this.#onStream(act.kind, act.stream);
    }
  }

  txn(steps: readonly Step[]): void {
    const revision = this.harness.store.revision + 1;
    for (const step of steps) {
      const key = "put" in step ? step.put : step.del;
      const prev = this.values.get(key);
      if ("put" in step) {
        this.events.push({ kind: "put", key, value: step.value, revision, prev });
        this.values.set(key, step.value);
      } else if (this.values.delete(key)) {
        this.events.push({ kind: "delete", key, value: "", revision, prev });
      }
    }
    this.harness.txn(steps);
  }

  #open(): { sink: TestSink; stream: WatchStream } {
    const opened = this.harness.open();
    opened.sink.onProgressHeard = (id, revision) => this.#judgeProgress(opened.sink, id, revision);
    return opened;
  }

  #watch(act: Extract<Act, { kind: "watch" }>): void {
    const { sink, stream } = this.streams[act.stream] ?? this.#open();
    const { revision } = this.harness.store;
    const start = act.start === 0 ? 0 : Math.max(1, revision + act.start);
    const id = stream.create(spec(act.target, { start, wants: act.wants }));
    assert.ok(typeof id !== "string", `${id} for a watcher of ${act.target}`);
    const first = start === 0 ? revision + 1 : start;
    this.watchers.push({
      sink,
      stream,
      id,
      target: act.target,
      first,
      wants: act.wants,
      over: false,
    });
  }

  #compact(back: number, sweep: boolean): void {
    const revision = this.harness.store.revision - back;
    if (revision <= this.floor || revision < 1) return;
    this.floor = revision;
    if (sweep) this.harness.compact(revision);
    else this.harness.store.compact(revision);
  }

  #onStream(kind: "cancel" | "progress" | "shut" | "drain" | "close", index: number): void {
    const opened = this.streams[index];
    if (opened === undefined) return;
    const { sink, stream } = opened;
    const mine = this.watchers.filter((watcher) => watcher.stream === stream && !watcher.over);
    if (kind === "progress") stream.requestProgress();
    else if (kind === "shut") sink.open = false;
    else if (kind === "drain") {
      sink.open = true;
      stream.drained();
    } else if (kind === "close") {
      stream.close();
      for (const watcher of mine) watcher.over = true;
      this.streams[index] = this.#open();
    } else {
      const [watcher] = mine;
      if (watcher === undefined) return;
      assert.ok(stream.cancel(watcher.id), "it was not cancelled before");
      watcher.over = true;
    }
  }

  finish(): void {
    for (const { sink, stream } of this.streams) {
      sink.open = true;
      stream.drained();
    }
    this.harness.settle();
    assert.equal(this.harness.hub.behindCount, 0, "all caught up");
    for (const watcher of this.watchers) this.#judge(watcher);
  }

  #wanted({ target, first, wants }: Expected, last: number): SentEvent[] {
    const [from = "", to] = target.split("..");
    const within = (key: string): boolean =>
      to === undefined ? key === from : key >= from && (to === "" || key < to);
    return this.events.filter(
      ({ kind, key, revision }) =>
        within(key) &&
        revision >= first &&
        revision <= last &&
        (wants & (kind === "put" ? Want.noPut : Want.noDelete)) === 0,
    );
  }

  #judge(watcher: Expected): void {
    const { sink, id, wants } = watcher;
    const record = sink.record(id);
    const sent = sink.events(id);
    const all = this.#wanted(watcher, Number.MAX_SAFE_INTEGER);
    const whole = !watcher.over && record.compacted === undefined;
    const expected = whole ? all : all.slice(0, sent.length);
    assert.deepEqual(sent.map(bare), expected.map(bare), `watcher ${id} of ${watcher.target}`);
    // A watcher that is cancelled had a revision still to come that is compacted, and no part of it.
    if (record.compacted !== undefined) {
      const last = sent.at(-1)?.revision ?? watcher.first - 1;
      assert.ok(last < record.compacted, `cancelled at ${record.compacted}, sent to ${last}`);
    }
    const next = all[sent.length];
    if (next !== undefined)
      assert.notEqual(next.revision, sent.at(-1)?.revision, "a revision is whole");
    for (const [i, event] of sent.entries()) this.#judgePrev(event, expected[i], wants);
    this.#judgeMessages(record.messages, record.fragments);
  }

  #judgePrev(event: SentEvent, expected: SentEvent | undefined, wants: number): void {
    if ((wants & Want.prevKv) === 0) assert.equal(event.prev, undefined, "nobody asked");
    else if (event.prev !== undefined || event.revision - 1 >= this.floor) {
      assert.equal(event.prev, expected?.prev, `the pair before ${event.key} at ${event.revision}`);
    }
  }

  #judgeMessages(
    messages: readonly { revision: number; events: readonly SentEvent[] }[],
    fragments: readonly boolean[],
  ): void {
    let last = 0;
    for (const [i, { revision, events }] of messages.entries()) {
      const own = events.map((event) => event.revision);
      assert.ok((own[0] ?? 0) > last || fragments[i - 1] === true, "no revision in two messages");
      last = own.at(-1) ?? last;
      assert.ok(new Set(own).size <= 1000, "at most 1000 revisions");
      assert.ok(revision >= last, `header ${revision} of events up to ${last}`);
    }
  }

  #judgeProgress(sink: TestSink, id: WatcherId | undefined, revision: number): void {
    for (const watcher of this.watchers) {
      if (watcher.sink !== sink || watcher.over || (id !== undefined && watcher.id !== id))
        continue;
      if (sink.record(watcher.id).compacted !== undefined) continue;
      const wanted = this.#wanted(watcher, revision);
      assert.equal(sink.events(watcher.id).length, wanted.length, `progress ${revision}: all sent`);
      assert.ok(watcher.first <= revision + 1, "no progress before the start");
    }
  }
}

const bare = ({ kind, key, value, revision }: SentEvent): string =>
  `${revision} ${kind} ${key} ${value}`;

test("every watcher gets its events once, in order, complete, or the word that they are gone", () => {
  fc.assert(
    fc.property(fc.array(actArb, { minLength: 10, maxLength: 120 }), (acts) => {
      const model = new Model();
      for (const act of acts) model.run(act);
      model.finish();
    }),
    { numRuns: 150 },
  );
});
