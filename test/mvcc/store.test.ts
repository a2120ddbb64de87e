// The store over an engine: batches, restarts, compaction, bounds.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LeaseId, noLease, Revision } from "../../src/base/brand.ts";
import { errCompacted, errFutureRevision } from "../../src/base/errors.ts";
import { deletionsMax } from "../../src/mvcc/compaction.ts";
import { pairOf, rowValue } from "../../src/mvcc/row.ts";
import type { Change } from "../../src/mvcc/state.ts";
import { Store } from "../../src/mvcc/store.ts";
import { Table } from "../../src/storage/engine.ts";
import { bytes, Disk, keysOf, query, StoreHarness, textOf } from "./support.ts";

const all = { from: "\0", to: "\0" };
const keys = (store: Store, revision = 0): string =>
  keysOf(store.read.range(query({ ...all, revision })).rows);
const value = (store: Store, key: string, revision = 0): string | undefined => {
  const [row] = store.read.range(query({ from: key, revision })).rows;
  return row && textOf(rowValue(row));
};

test("an empty store is at revision 1 and was never compacted", () => {
  const { store } = new StoreHarness();
  assert.equal(store.revision, 1);
  assert.equal(store.compactedRevision, -1);
  assert.deepEqual(store.savedApplied, { index: 0, term: 0 });
});

test("a transaction is one revision, whatever it changes; one without changes is none", () => {
  const { store } = new StoreHarness();
  store.write.begin();
  assert.equal(store.write.deleteKey(bytes("a")), 0);
  assert.equal(store.write.end(), 1);
  store.write.begin();
  store.write.put(pairOf(bytes("a"), bytes("1")), noLease);
  store.write.put(pairOf(bytes("b"), bytes("2")), noLease);
  assert.equal(store.write.deleteRange({ from: bytes("a"), to: bytes("b") }), 1);
  assert.equal(keys(store), "b", "its own writes are visible inside");
  assert.equal(keys(store, 1), "", "and the state before is, too");
  assert.equal(store.write.before, 1);
  assert.equal(store.write.end(), 2);
});

test("rows are readable while they wait, while they are written and behind the cache", () => {
  const harness = new StoreHarness({ recentBytesMax: 0 });
  harness.put("a", "1");
  assert.equal(value(harness.store, "a"), "1", "waiting");
  harness.submit();
  harness.put("a", "2");
  assert.equal(value(harness.store, "a", 2), "1", "under way");
  harness.disk.complete();
  assert.equal(value(harness.store, "a", 2), "1", "from the engine");
  assert.equal(value(harness.store, "a", 2), "1", "and again");
  assert.equal(value(harness.store, "a"), "2");
});

test("what waits is counted for back pressure", () => {
  const harness = new StoreHarness();
  assert.equal(harness.submit(), false, "nothing to write");
  harness.put("a", "v".repeat(1000));
  assert.ok(harness.store.pendingBytes > 1000);
  assert.equal(harness.store.waitingRows, 1);
  harness.submit();
  assert.equal(harness.store.waitingRows, 0);
  assert.ok(harness.store.pendingBytes > 1000, "until the engine has it");
  harness.disk.complete();
  assert.equal(harness.store.pendingBytes, 0);
});

test("a batch carries rows, applied index and rows of other tables; a crash loses all of it or nothing", () => {
  const harness = new StoreHarness();
  harness.put("a");
  harness.store.stage(Table.meta, bytes("other"), bytes("1"));
  harness.flush();
  harness.put("b");
  harness.store.stage(Table.meta, bytes("other"), bytes("2"));
  harness.submit();
  harness.put("c");
  harness.reopen();
  assert.equal(keys(harness.store), "a");
  assert.deepEqual(harness.store.savedApplied, { index: 1, term: 1 });
  assert.equal(harness.store.revision, 2);
  assert.equal(textOf(harness.disk.engine.get(Table.meta, bytes("other")) ?? bytes("")), "1");
  harness.store.stage(Table.meta, bytes("other"), undefined);
  harness.flush();
  assert.equal(harness.disk.engine.get(Table.meta, bytes("other")), undefined);
});

test("of several changes to a staged row the last counts, in any order of put and delete", () => {
  const harness = new StoreHarness();
  const [a, b] = [bytes("a"), bytes("b")];
  const read = (key: Uint8Array) => harness.disk.engine.get(Table.lease, key)?.length;
  for (const [key, length] of [
    [a, 1],
    [a, undefined],
    [a, 3],
    [b, 1],
    [b, undefined],
  ] as const) {
    harness.store.stage(Table.lease, key, length === undefined ? undefined : Buffer.alloc(length));
  }
  assert.equal(harness.store.waitingRows, 2);
  assert.equal(harness.store.pendingBytes, 1 + 3 + 1);
  harness.flush();
  assert.deepEqual([read(a), read(b)], [3, undefined]);
  assert.equal(harness.store.pendingBytes, 0);
  harness.store.stage(Table.lease, a, undefined);
  harness.flush();
  assert.equal(read(a), undefined);
});

test("an entry without changes moves the applied index on disk", () => {
  const harness = new StoreHarness();
  harness.applied = 5;
  assert.equal(harness.submit(), true);
  harness.disk.complete();
  assert.equal(harness.submit(), false);
  harness.reopen();
  assert.equal(harness.store.savedApplied.index, 5);
});

test("a reopened store holds the same history, lives and leases", () => {
  const attached = new Map<string, bigint>();
  const leases = {
    get attachedCount() {
      return attached.size;
    },
    exists: () => true,
    attach: (lease: bigint, key: string) => void attached.set(key, lease),
    detach: (key: string) => void attached.delete(key),
  };
  const harness = new StoreHarness({ leases });
  const putLeased = (key: string, lease: bigint) => {
    harness.applied++;
    harness.store.write.begin();
    harness.store.write.put(pairOf(bytes(key), bytes("x")), LeaseId(lease));
    harness.store.write.end();
  };
  putLeased("a", 7n);
  putLeased("b", 7n);
  putLeased("c", -8n);
  putLeased("d", 7n);
  harness.put("b", "detached");
  harness.delete("c");
  harness.put("c", "again");
  harness.delete("d");
  harness.put("e", "1");
  harness.flush();
  assert.deepEqual(attached, new Map([["a", 7n]]));
  const states = Array.from({ length: harness.store.revision }, (_, i) =>
    keys(harness.store, i + 1),
  );
  const hash = harness.store.stateHash();
  attached.clear();
  harness.reopen();
  assert.deepEqual(attached, new Map([["a", 7n]]));
  assert.equal(harness.store.stateHash(), hash);
  states.forEach((state, i) => {
    assert.equal(keys(harness.store, i + 1), state, `at ${i + 1}`);
  });
  harness.put("c", "third");
  const [row] = harness.store.read.range(query({ from: "c", minCreateRevision: 8 })).rows;
  assert.ok(row, "the life that began at 8 goes on");
});

test("Compact refuses what is below the floor or in the future", () => {
  const harness = new StoreHarness();
  harness.put("a");
  const rows = [
    { revision: -1, want: errCompacted, why: "the floor before any compaction is -1" },
    { revision: 3, want: errFutureRevision, why: "future" },
    { revision: 0, want: undefined, why: "0 once on a fresh store" },
    { revision: 0, want: errCompacted, why: "not again" },
    { revision: 2, want: undefined, why: "the current revision" },
    { revision: 2, want: errCompacted, why: "the same" },
  ];
  for (const { revision, want, why } of rows) {
    assert.equal(harness.store.compact(revision), want, why);
  }
  assert.equal(harness.store.revision, 2, "the revision did not move");
});

test("compacted rows leave the engine, and their keys the index", () => {
  const harness = new StoreHarness();
  for (let i = 0; i < 10; i++) harness.put("a", `${i}`);
  harness.put("gone");
  harness.delete("gone");
  harness.flush();
  assert.equal(harness.disk.rowCount(Table.key), 12);
  assert.equal(harness.store.compact(12), undefined);
  assert.equal(harness.store.compactionSettled, false);
  harness.sweepAll();
  assert.equal(harness.store.compactionSettled, false, "the engine still holds them");
  harness.submit();
  assert.equal(harness.store.compactionSettled, false);
  harness.disk.complete();
  assert.equal(harness.store.compactionSettled, true);
  assert.equal(harness.disk.rowCount(Table.key), 3, "a, and gone from the floor on");
  assert.equal(keys(harness.store, 12), "a gone");
  assert.equal(harness.store.compact(13), undefined);
  harness.sweepAll();
  harness.flush();
  assert.equal(harness.disk.rowCount(Table.key), 2, "a tombstone exactly at the floor is kept");
  assert.equal(harness.store.keyCount, 2);
  harness.put("b");
  assert.equal(harness.store.compact(14), undefined);
  harness.sweepAll();
  harness.flush();
  assert.equal(harness.store.keyCount, 2, "then it goes with the next compaction");
  assert.equal(harness.disk.rowCount(Table.key), 2);
});

test("a lone tombstone at the floor survives a restart and is swept later", () => {
  const harness = new StoreHarness();
  harness.put("a");
  harness.delete("a");
  harness.store.compact(3);
  harness.sweepAll();
  harness.flush();
  harness.reopen();
  assert.equal(harness.disk.rowCount(Table.key), 1);
  assert.equal(harness.store.keyCount, 1, "known, so that it can be swept");
  harness.put("b");
  harness.store.compact(4);
  harness.sweepAll();
  harness.flush();
  assert.equal(harness.store.keyCount, 1);
  assert.equal(harness.disk.rowCount(Table.key), 1, "b");
});

test("rows of one revision that share a slot of the read cache are told apart", () => {
  const harness = new StoreHarness({ recentBytesMax: 0 });
  harness.txn(...Array.from({ length: 4097 }, (_, i) => `k${i}=${i}`));
  harness.flush();
  for (const i of [0, 4096, 0]) assert.equal(value(harness.store, `k${i}`), `${i}`);
});

test("rows that are compacted before they were written never reach the engine", () => {
  const harness = new StoreHarness();
  for (let i = 0; i < 10; i++) harness.put("a", `${i}`);
  harness.store.compact(11);
  harness.sweepAll();
  harness.flush();
  assert.equal(harness.disk.rowCount(Table.key), 1);
  harness.reopen();
  assert.equal(value(harness.store, "a"), "9");
});

test("rows that are compacted while a batch writes them are deleted by the next", () => {
  const harness = new StoreHarness();
  for (let i = 0; i < 10; i++) harness.put("a", `${i}`);
  harness.submit();
  harness.store.compact(11);
  harness.sweepAll();
  harness.disk.complete();
  harness.flush();
  assert.equal(harness.disk.rowCount(Table.key), 1);
});

test("a sweep that a crash cut short goes on after the restart", () => {
  const harness = new StoreHarness();
  for (let i = 0; i < 100; i++) harness.put(`k${i % 10}`, `${i}`);
  harness.store.compact(101);
  harness.flush();
  harness.store.sweep(20);
  harness.flush();
  harness.store.sweep(20);
  harness.submit();
  harness.reopen();
  assert.equal(harness.store.compactedRevision, 101);
  assert.equal(harness.store.compactionSettled, false);
  harness.sweepAll();
  harness.flush();
  assert.equal(harness.store.compactionSettled, true);
  assert.equal(harness.disk.rowCount(Table.key), 10);
  harness.reopen();
  assert.equal(harness.store.compactionSettled, true, "and is remembered as done");
});

test("a compaction during a sweep is swept by a pass of its own", () => {
  const harness = new StoreHarness();
  for (let i = 0; i < 100; i++) harness.put(`k${i % 10}`, `${i}`);
  harness.flush();
  harness.store.compact(50);
  harness.store.sweep(30);
  harness.store.compact(101);
  harness.put("new");
  harness.sweepAll();
  harness.flush();
  assert.equal(harness.store.compactionSettled, true);
  assert.equal(harness.disk.rowCount(Table.key), 11);
});

test("a step stops at its bound, and for good when too many deletions wait for a batch", () => {
  const harness = new StoreHarness();
  const count = deletionsMax + 500;
  for (let i = 0; i <= count; i++) harness.put("a");
  harness.flush();
  harness.store.compact(count + 2);
  harness.store.sweep(100);
  assert.ok(harness.store.waitingRows <= 100);
  while (harness.store.sweep(5000));
  assert.equal(harness.store.waitingRows, deletionsMax);
  assert.equal(harness.store.sweep(5000), false);
  assert.equal(harness.store.waitingRows, deletionsMax);
  harness.flush();
  harness.sweepAll();
  harness.flush();
  assert.equal(harness.disk.rowCount(Table.key), 1);
});

test("every sink hears every change in order, until it stops", () => {
  const harness = new StoreHarness();
  harness.put("a", "0");
  const heard: string[] = [];
  const tell = (change: Change) => {
    return `${change.kind} ${change.key}=${textOf(rowValue(change.row))}`;
  };
  let others = 0;
  const stopOther = harness.store.listen({ onChanges: () => void others++ });
  const stop = harness.store.listen({
    onChanges: (revision, changes) => heard.push(`${revision}: ${changes.map(tell).join(", ")}`),
  });
  harness.txn("a=1", "b=2", "-a");
  harness.delete("missing");
  harness.delete("b");
  assert.deepEqual(heard, ["3: put a=1, put b=2, delete a=", "4: delete b="]);
  stop();
  harness.put("c");
  assert.deepEqual([heard.length, others], [2, 3]);
  stopOther();
  stopOther();
  harness.put("d");
  assert.equal(others, 3);
});

test("history comes in order from the engine and from memory alike", () => {
  const harness = new StoreHarness({ recentBytesMax: 0 });
  const told = (from: number): string => {
    const found: string[] = [];
    harness.store.history(Revision(from), (main, sub) => found.push(`${main}.${sub}`) > 0);
    return found.join(" ");
  };
  harness.put("a");
  harness.txn("a=1", "b=2", "-a");
  harness.flush();
  harness.txn("c=1", "d=1");
  harness.submit();
  harness.put("e");
  assert.equal(told(0), "2.0 3.0 3.1 3.2 4.0 4.1 5.0");
  assert.equal(told(3), "3.0 3.1 3.2 4.0 4.1 5.0");
  assert.equal(told(5), "5.0");
  assert.equal(told(6), "");
  const first: number[] = [];
  harness.store.history(Revision(2), (main) => first.push(main) < 2);
  assert.deepEqual(first, [2, 3], "and stops when told to");
});

test("a store of an unknown format is not opened", () => {
  const disk = new Disk();
  const puts = [{ table: Table.meta, key: bytes("store"), value: bytes("\x09") }];
  disk.engine.submit({ puts, deletes: [] }, () => {});
  disk.complete();
  assert.throws(() => Store.open(disk.engine), /unknown store format 9/);
});
