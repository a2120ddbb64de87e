// The hub by its rules: starts, ids, filters, progress, slow streams, compaction, bounds. Rules are of
// etcd's documentation of the Watch service; numbers behind # are issues of etcd that must not return.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Want } from "../../src/watch/watcher.ts";
import { spec, WatchHarness } from "./support.ts";

const texts = (events: readonly { kind: string; key: string; revision: number }[]): string =>
  events
    .map(({ kind, key, revision }) => `${revision}${kind === "put" ? "+" : "-"}${key}`)
    .join(" ");

test("keys, ranges, prefixes and all from a key on; each event of a turn in one message", () => {
  const harness = new WatchHarness();
  const { sink, stream } = harness.open();
  for (const target of ["b", "a..c", "b..", "..", "bb"]) stream.create(spec(target));
  harness.txn([
    { put: "a", value: "1" },
    { put: "b", value: "2" },
  ]);
  harness.put("c");
  harness.delete("b");
  harness.hub.turn();
  const got = [0, 1, 2, 3, 4].map((id) => texts(sink.events(id)));
  assert.deepEqual(got, ["2+b 4-b", "2+a 2+b 4-b", "2+b 3+c 4-b", "2+a 2+b 3+c 4-b", ""]);
  assert.deepEqual(
    sink.record(1).messages.map((m) => m.revision),
    [4],
    "header: the last event's",
  );
});

test("ids: the lowest free from 0, given ones as given, also negative and huge", () => {
  const { stream } = new WatchHarness().open();
  const huge = 2n ** 63n - 1n;
  assert.equal(stream.create(spec("a")), 0);
  assert.equal(stream.create(spec("a", { id: 1 })), 1);
  assert.equal(stream.create(spec("a")), 2);
  assert.equal(stream.create(spec("a", { id: -7 })), -7);
  assert.equal(stream.create(spec("a", { id: huge })), huge);
  assert.equal(stream.create(spec("a", { id: huge })), "duplicateId");
  assert.equal(stream.create(spec("a", { id: 1 })), "duplicateId");
  assert.equal(stream.cancel(1), true);
  assert.equal(stream.cancel(1), false);
  assert.equal(stream.create(spec("a", { id: 1 })), 1);
});

test("an empty range is refused", () => {
  const { stream } = new WatchHarness().open();
  for (const target of ["b..a", "b..b"]) assert.equal(stream.create(spec(target)), "emptyRange");
});

test("a watch from a future revision gets nothing older (#20221)", () => {
  const harness = new WatchHarness();
  const { sink, stream } = harness.open();
  harness.put("a");
  stream.create(spec("a", { start: 5, wants: Want.progress }));
  for (let i = 0; i < 5; i++) harness.put("a");
  stream.requestProgress();
  harness.hub.turn();
  assert.equal(texts(sink.events(0)), "5+a 6+a 7+a");
  // A word of progress below its start would make a client resume from there.
  const later = harness.open();
  later.stream.create(spec("a", { start: 100, wants: Want.progress }));
  for (let i = 0; i < 50; i++) harness.hub.tick();
  later.stream.requestProgress();
  assert.deepEqual([later.sink.progress, later.sink.record(0).progress], [[], []]);
  harness.hub.rebind(harness.store);
  harness.settle();
  harness.put("a");
  harness.hub.turn();
  assert.equal(texts(later.sink.events(0)), "", "nor after the state was replaced");
});

test("a start in the past replays history, then goes on live, without gap or repeat", () => {
  const harness = new WatchHarness();
  for (let i = 0; i < 2500; i++) harness.put(i % 2 === 0 ? "a" : "b", String(i));
  harness.flush();
  for (let i = 0; i < 100; i++) harness.put("a", String(i));
  const { sink, stream } = harness.open();
  stream.create(spec("a", { start: 2 }));
  stream.create(spec("a..c", { start: 1200 }));
  while (harness.hub.turn()) harness.put("a", "meanwhile");
  harness.put("a", "after");
  harness.hub.turn();
  for (const [id, from] of [
    [0, 2],
    [1, 1200],
  ] as const) {
    const revisions = sink.events(id).map((event) => event.revision);
    assert.equal(revisions[0], from);
    assert.equal(revisions.at(-1), harness.store.revision);
    assert.equal(new Set(revisions).size, revisions.length, "no repeat");
    const spans = sink
      .record(id)
      .messages.map(({ events }) => new Set(events.map((event) => event.revision)).size);
    assert.ok(Math.max(...spans) <= 1000, "at most 1000 revisions a message");
  }
  assert.equal(sink.events(1).length, harness.store.revision - 1199, "all of the range");
});

test("filters and previous pairs", () => {
  const harness = new WatchHarness();
  harness.put("a", "1");
  const { sink, stream } = harness.open();
  for (const wants of [Want.noPut, Want.noDelete, Want.noPut | Want.noDelete, Want.prevKv]) {
    stream.create(spec("a", { wants }));
    stream.create(spec("a", { wants, start: 2 }));
  }
  harness.put("a", "2");
  harness.delete("a");
  harness.put("a", "3");
  harness.settle();
  const got = Array.from({ length: 8 }, (_, id) => texts(sink.events(id)));
  const [all, puts, dels] = ["3+a 4-a 5+a", "3+a 5+a", "4-a"];
  assert.deepEqual(got, [dels, dels, puts, `2+a ${puts}`, "", "", all, `2+a ${all}`]);
  assert.deepEqual(
    sink.events(7).map((event) => event.prev),
    [undefined, "1", "2", undefined],
  );
  assert.equal(sink.record(4).messages.length, 0, "an empty message is not sent");
});

test("what is compacted is cancelled with the floor, what is not is complete (#17780, #18089)", () => {
  const harness = new WatchHarness();
  for (let i = 0; i < 20; i++) harness.put("a", String(i));
  harness.compact(10);
  const { sink, stream } = harness.open();
  for (const start of [5, 9, 10, 11]) stream.create(spec("a", { start }));
  harness.settle();
  const compacted = [0, 1, 2, 3].map((id) => sink.record(id).compacted);
  assert.deepEqual(compacted, [10, 10, undefined, undefined]);
  assert.deepEqual([sink.events(0).length, sink.events(1).length], [0, 0], "no part of it");
  assert.deepEqual([sink.events(2).length, sink.events(3).length], [12, 11]);
  assert.equal(
    stream.create(spec("a", { id: 1 })),
    "duplicateId",
    "the client has not let go of it",
  );
  assert.deepEqual([stream.cancel(1), stream.cancel(1)], [true, false]);
  assert.equal(stream.create(spec("a", { id: 1 })), 1);
});

test("a compaction between two rounds of reading cancels, it does not skip", () => {
  const harness = new WatchHarness();
  for (let i = 0; i < 3000; i++) harness.put("a", String(i));
  const { sink, stream } = harness.open();
  stream.create(spec("a", { start: 2 }));
  harness.hub.turn();
  assert.equal(sink.events(0).length, 1000);
  harness.compact(2000);
  harness.settle();
  assert.equal(sink.events(0).length, 1000, "nothing from above the gap");
  assert.equal(sink.record(0).compacted, 2000);
});

test("a delete at exactly the compacted revision is still seen (#19179)", () => {
  const harness = new WatchHarness();
  harness.put("a");
  harness.put("b");
  const deleted = harness.delete("a");
  harness.compact(deleted);
  const { sink, stream } = harness.open();
  stream.create(spec("a", { start: deleted, wants: Want.prevKv }));
  harness.settle();
  assert.equal(texts(sink.events(0)), `${deleted}-a`);
  assert.equal(sink.record(0).compacted, undefined);
});

test("a stalled client holds up nobody, costs a revision and not a backlog (#17529, #15402, #16839)", () => {
  const harness = new WatchHarness();
  const slow = harness.open();
  const fast = harness.open();
  slow.stream.create(spec("a"));
  fast.stream.create(spec("a"));
  slow.sink.open = false;
  for (let i = 0; i < 3000; i++) {
    harness.put("a", String(i));
    harness.hub.turn();
  }
  assert.equal(slow.sink.events(0).length, 1, "the message that was one too many");
  assert.equal(fast.sink.events(0).length, 3000);
  slow.stream.requestProgress();
  assert.deepEqual(slow.sink.progress, [], "no progress while behind");
  slow.sink.open = true;
  slow.stream.drained();
  harness.settle();
  assert.deepEqual(
    slow.sink.events(0).map((event) => event.revision),
    fast.sink.events(0).map((event) => event.revision),
  );
});

test("one far behind does not keep another waiting that is nearly there", () => {
  const harness = new WatchHarness();
  for (let i = 0; i < 20_000; i++) harness.put("a", String(i));
  const { sink, stream } = harness.open();
  stream.create(spec("a", { start: 2 }));
  harness.hub.turn();
  stream.create(spec("a", { start: 20_000 }));
  harness.hub.turn();
  harness.hub.turn();
  assert.equal(sink.events(1).length, 2, "it had its turn");
  assert.ok(sink.events(0).length < 20_000, "the other is still reading");
});

test("progress: on request when all are live, by itself when idle, an event skips one", () => {
  const harness = new WatchHarness({ progressTicks: 10 });
  const { sink, stream } = harness.open();
  stream.requestProgress();
  assert.deepEqual(sink.progress, [], "no watcher, no answer");
  for (let i = 0; i < 3; i++) harness.put("b");
  stream.create(spec("a", { wants: Want.progress }));
  stream.create(spec("b", { start: 2 }));
  stream.requestProgress();
  assert.deepEqual(sink.progress, [], "one is behind");
  harness.settle();
  stream.requestProgress();
  assert.deepEqual(sink.progress, [4]);
  harness.put("a");
  for (let i = 0; i < 11; i++) harness.hub.tick();
  assert.deepEqual(sink.record(0).progress, [], "it was sent an event");
  for (let i = 0; i < 10; i++) harness.hub.tick();
  assert.deepEqual(sink.record(0).progress, [5]);
  assert.deepEqual(sink.record(1).progress, [], "it did not ask");
});

test("progress tells only what was written before it", () => {
  const harness = new WatchHarness();
  const { sink, stream } = harness.open();
  stream.create(spec("a"));
  harness.put("a");
  stream.requestProgress();
  assert.deepEqual([sink.progress, sink.events(0).length], [[2], 1]);
});

test("a new state: everybody goes on from where they were", () => {
  const harness = new WatchHarness();
  const { sink, stream } = harness.open();
  stream.create(spec("a"));
  harness.put("a", "1");
  harness.hub.turn();
  harness.put("a", "2");
  // The second change was heard but not sent when the state was replaced.
  harness.hub.rebind(harness.store);
  harness.put("a", "3");
  harness.settle();
  harness.put("a", "4");
  harness.hub.turn();
  assert.equal(texts(sink.events(0)), "2+a 3+a 4+a 5+a");
});

test("a large revision is cut for who allows it, and for nobody else", () => {
  const harness = new WatchHarness();
  const { sink, stream } = harness.open();
  stream.create(spec("a..z", { wants: Want.fragment }));
  stream.create(spec("a..z"));
  const value = "x".repeat(900_000);
  harness.txn(["a", "b", "c", "d", "e"].map((put) => ({ put, value })));
  harness.hub.turn();
  assert.deepEqual(sink.record(0).fragments, [true, true, false]);
  assert.deepEqual(sink.record(1).fragments, [false]);
  assert.equal(texts(sink.events(0)), texts(sink.events(1)));
});

test("bounds: watchers of a stream, of the member, bytes of their keys", () => {
  const limits = { watchersPerStreamMax: 2, watchersMax: 3, keyBytesMax: 1000 };
  const { hub } = new WatchHarness({ limits });
  const open = () => hub.open(new WatchHarness().open().sink);
  const [one, two] = [open(), open()];
  assert.deepEqual(
    [one, one, one, two, two].map((s) => s.create(spec("a"))),
    [0, 1, "tooMany", 0, "tooMany"],
  );
  one.close();
  two.close();
  const three = open();
  assert.equal(three.create(spec("k".repeat(600))), "tooMany");
  assert.equal(three.create(spec("k".repeat(400))), 0);
  assert.equal(three.create(spec("k".repeat(400))), "tooMany");
  assert.equal(three.cancel(0), true);
  assert.equal(three.create(spec("k".repeat(400))), 1);
});

test("without watchers a store has no listener; streams that go take all with them", () => {
  const harness = new WatchHarness();
  let listens = 0;
  const { store } = harness;
  const listen = store.listen.bind(store);
  store.listen = (sink) => {
    listens++;
    const stop = listen(sink);
    return () => {
      listens--;
      stop();
    };
  };
  const { stream, sink } = harness.open();
  assert.equal(listens, 0);
  for (let i = 0; i < 100; i++) stream.create(spec(`k${i}`, { start: i % 2 }));
  assert.equal(listens, 1);
  stream.close();
  stream.close();
  assert.deepEqual([listens, harness.hub.watcherCount, harness.hub.behindCount], [0, 0, 0]);
  const other = harness.open();
  other.stream.create(spec("a"));
  harness.hub.stop();
  assert.deepEqual([other.sink.stopped, harness.hub.watcherCount], [true, 0]);
  assert.equal(sink.stopped, false, "a closed stream hears nothing");
});
