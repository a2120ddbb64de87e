// HashKV (semantics, section 13): equal on members with equal history and floor, whatever was flushed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { errCompacted, errFutureRevision } from "../../src/base/errors.ts";
import type { ContentHash, HashRun } from "../../src/mvcc/hash.ts";
import { StoreHarness } from "./support.ts";

function finish(run: HashRun, rowsMax = 3): ContentHash {
  for (let steps = 0; steps < 10_000; steps++) {
    const result = run.step(rowsMax);
    if (result !== undefined) return result;
  }
  throw new Error("a hash that never ends");
}

function fill(harness: StoreHarness): StoreHarness {
  for (let i = 0; i < 40; i++) {
    harness.put(`k${i % 7}`, `${i}`);
    if (i % 5 === 0) harness.delete(`k${(i + 3) % 7}`);
    if (i % 11 === 0) harness.txn("x=1", "y=2", "-x");
  }
  return harness;
}

test("members agree, flushed or not, cached or not, restarted or not, in steps of any length", () => {
  const inMemory = fill(new StoreHarness());
  const onDisk = fill(new StoreHarness({ recentBytesMax: 0 }));
  onDisk.flush();
  const restarted = fill(new StoreHarness());
  restarted.flush();
  restarted.reopen();
  const half = new StoreHarness({ recentBytesMax: 0 });
  fill(half);
  half.submit();
  const current = inMemory.store.revision;
  for (const revision of [0, 1, 2, 20, current - 1, current]) {
    const want = finish(inMemory.store.hash(revision));
    assert.equal(want.hashRevision, revision === 0 ? current : revision);
    assert.equal(want.compactRevision, -1);
    for (const { store } of [onDisk, restarted, half]) {
      assert.deepEqual(finish(store.hash(revision)), want, `at ${revision}`);
      assert.deepEqual(finish(store.hash(revision), 1000), want, `at ${revision} in one step`);
    }
  }
});

test("with the same floor it does not matter how far the sweep has come", () => {
  for (const floor of [10, 23, 30, 44]) {
    const unswept = fill(new StoreHarness());
    unswept.store.compact(floor);
    const half = fill(new StoreHarness());
    half.flush();
    half.store.compact(floor);
    half.store.sweep(4);
    const swept = fill(new StoreHarness({ recentBytesMax: 0 }));
    swept.flush();
    swept.store.compact(floor);
    swept.sweepAll();
    swept.flush();
    swept.reopen();
    for (const revision of [0, floor, floor + 2]) {
      const want = finish(unswept.store.hash(revision));
      assert.equal(want.compactRevision, floor);
      assert.deepEqual(finish(half.store.hash(revision)), want, `floor ${floor}, half`);
      assert.deepEqual(finish(swept.store.hash(revision)), want, `floor ${floor}, swept`);
    }
  }
});

test("of two puts in one revision the floor keeps the last, swept or not", () => {
  const [unswept, swept] = [new StoreHarness(), new StoreHarness()];
  for (const harness of [unswept, swept]) {
    harness.txn("a=1", "a=2", "b=3");
    harness.flush();
    harness.store.compact(2);
  }
  swept.sweepAll();
  swept.flush();
  swept.reopen();
  assert.deepEqual(finish(swept.store.hash(0)), finish(unswept.store.hash(0)));
});

test("one changed byte, revision or kind changes the hash", () => {
  const base = finish(fill(new StoreHarness()).store.hash(0)).hash;
  const other = (change: (harness: StoreHarness) => void): number => {
    const harness = new StoreHarness();
    change(harness);
    return finish(fill(harness).store.hash(0)).hash;
  };
  assert.notEqual(
    other((h) => h.put("a")),
    base,
  );
  const [put, deleted] = [new StoreHarness(), new StoreHarness()];
  put.put("a", "1");
  put.put("a", "1");
  deleted.put("a", "1");
  deleted.delete("a");
  assert.notEqual(finish(put.store.hash(0)).hash, finish(deleted.store.hash(0)).hash);
  const [x, y] = [new StoreHarness(), new StoreHarness()];
  x.put("a", `${"v".repeat(99)}x${"v".repeat(99)}`);
  y.put("a", `${"v".repeat(99)}y${"v".repeat(99)}`);
  assert.notEqual(finish(x.store.hash(0)).hash, finish(y.store.hash(0)).hash);
});

test("writes and batches between steps do not disturb it", () => {
  const want = finish(fill(new StoreHarness()).store.hash(0));
  const busy = fill(new StoreHarness({ recentBytesMax: 0 }));
  const run = busy.store.hash(0);
  let result: ContentHash | undefined;
  for (let i = 0; result === undefined; i++) {
    result = run.step(2);
    busy.put(`later${i}`);
    if (i % 4 === 1) busy.submit();
    if (i % 4 === 3) busy.disk.complete();
  }
  assert.deepEqual(result, want);
});

test("a compaction between steps starts it again, or refuses it when it went past the revision", () => {
  const harness = fill(new StoreHarness());
  const later = harness.store.hash(0);
  const older = harness.store.hash(20);
  later.step(5);
  older.step(5);
  harness.store.compact(25);
  harness.sweepAll();
  harness.flush();
  assert.throws(
    () => older.step(5),
    (error) => error === errCompacted,
  );
  const twin = fill(new StoreHarness());
  twin.store.compact(25);
  assert.deepEqual(finish(later), finish(twin.store.hash(0)));
});

test("revisions that cannot be hashed are refused", () => {
  const harness = fill(new StoreHarness());
  harness.store.compact(10);
  const refused = (revision: number) => () => harness.store.hash(revision);
  assert.throws(refused(harness.store.revision + 1), (error) => error === errFutureRevision);
  assert.throws(refused(9), (error) => error === errCompacted);
  assert.throws(refused(1), (error) => error === errCompacted);
  const ofNothing = finish(new StoreHarness().store.hash(0)).hash;
  assert.equal(finish(harness.store.hash(-1)).hash, ofNothing, "etcd hashes nothing then");
  assert.equal(finish(harness.store.hash(10)).hashRevision, 10);
});
