// Range, rule by rule (semantics, section 2).
import assert from "node:assert/strict";
import { test } from "node:test";
import { errCompacted, errFutureRevision } from "../../src/base/errors.ts";
import { AnswerBytes } from "../../src/mvcc/answerBytes.ts";
import type { RangeQuery } from "../../src/mvcc/readView.ts";
import { rowValue } from "../../src/mvcc/row.ts";
import { SortOrder, SortTarget } from "../../src/proto/kv.ts";
import { keysOf, query, StoreHarness } from "./support.ts";

type Fields = Partial<RangeQuery> & { from: string; to?: string };

interface Row {
  readonly ask: Fields;
  readonly want: string;
  readonly count?: number;
  readonly more?: boolean;
  readonly why: string;
}

/** 2: a=3; 3: b=1; 4: c=2; 5: a=4; 6: d=0 and e=9; 7: delete c; 8: b=5. */
function filled(): StoreHarness {
  const harness = new StoreHarness();
  harness.put("a", "3");
  harness.put("b", "1");
  harness.put("c", "2");
  harness.put("a", "4");
  harness.txn("d=0", "e=9");
  harness.delete("c");
  harness.put("b", "5");
  return harness;
}

function checkAll(harness: StoreHarness, rows: readonly Row[]): void {
  for (const { ask, want, count, more = false, why } of rows) {
    const got = harness.store.read.range(query(ask));
    assert.equal(keysOf(got.rows), want, why);
    assert.equal(got.count, count ?? want.split(" ").filter(Boolean).length, `${why}: count`);
    assert.equal(got.more, more, `${why}: more`);
  }
}

test("which keys a request means", () => {
  checkAll(filled(), [
    { ask: { from: "a" }, want: "a", why: "no end: the one key" },
    { ask: { from: "x" }, want: "", why: "a missing key" },
    { ask: { from: "c" }, want: "", why: "a deleted key" },
    { ask: { from: "a", to: "d" }, want: "a b", why: "half open" },
    { ask: { from: "b", to: "\0" }, want: "b d e", why: "one zero byte: up to the end" },
    { ask: { from: "\0", to: "\0" }, want: "a b d e", why: "everything" },
    { ask: { from: "b", to: "b" }, want: "", why: "end equal to the key" },
    { ask: { from: "d", to: "b" }, want: "", why: "end before the key" },
    { ask: { from: "a", to: "\0\0" }, want: "", why: "two zero bytes are an ordinary end" },
    { ask: { from: "a\0", to: "e\0" }, want: "b d e", why: "the smallest neighbours" },
  ]);
});

test("which revision is read", () => {
  const harness = filled();
  checkAll(harness, [
    { ask: { from: "a", to: "z", revision: 1 }, want: "", why: "the empty store" },
    { ask: { from: "a", to: "z", revision: 4 }, want: "a b c", why: "the past" },
    { ask: { from: "a", to: "z", revision: 6 }, want: "a b c d e", why: "both of one revision" },
    { ask: { from: "a", to: "z", revision: 7 }, want: "a b d e", why: "after the delete" },
    { ask: { from: "a", to: "z", revision: 8 }, want: "a b d e", why: "the current one" },
    { ask: { from: "a", to: "z", revision: -3 }, want: "a b d e", why: "negative: current" },
    { ask: { from: "c", revision: 6 }, want: "c", why: "one key of the past" },
  ]);
  const refused = (revision: number) => () =>
    harness.store.read.range(query({ from: "a", revision }));
  assert.throws(refused(9), (error) => error === errFutureRevision);
  assert.equal(harness.store.compact(5), undefined);
  assert.throws(refused(4), (error) => error === errCompacted);
  checkAll(harness, [
    { ask: { from: "a", to: "z", revision: 5 }, want: "a b c", why: "the floor is readable" },
  ]);
  harness.sweepAll();
  checkAll(harness, [
    { ask: { from: "a", to: "z", revision: 5 }, want: "a b c", why: "when swept, too" },
  ]);
});

test("limit, more and count", () => {
  const all = { from: "\0", to: "\0" };
  checkAll(filled(), [
    { ask: { ...all, limit: 2 }, want: "a b", count: 4, more: true, why: "cut" },
    { ask: { ...all, limit: 4 }, want: "a b d e", why: "exactly enough" },
    { ask: { ...all, limit: -1 }, want: "a b d e", why: "negative: no limit" },
    { ask: { ...all, limit: 2, revision: 6 }, want: "a b", count: 5, more: true, why: "the past" },
    { ask: { ...all, countOnly: true }, want: "", count: 4, why: "count only" },
    { ask: { ...all, countOnly: true, limit: 1 }, want: "", count: 4, why: "limit ignored" },
    { ask: { ...all, countOnly: true, revision: 6 }, want: "", count: 5, why: "count of the past" },
    { ask: { ...all, countOnly: true, minModRevision: 99 }, want: "", count: 4, why: "no filter" },
    { ask: { from: "a", countOnly: true }, want: "", count: 1, why: "one key" },
    { ask: { from: "c", countOnly: true }, want: "", count: 0, why: "no key" },
  ]);
});

test("sort orders and targets, and where the limit comes in", () => {
  const all = { from: "\0", to: "\0" };
  const { ascend, descend, none } = SortOrder;
  checkAll(filled(), [
    { ask: { ...all, sortOrder: descend }, want: "e d b a", why: "keys down" },
    {
      ask: { ...all, sortOrder: descend, limit: 2 },
      want: "e d",
      count: 4,
      more: true,
      why: "sorted, then cut",
    },
    {
      ask: { ...all, sortOrder: ascend, sortTarget: SortTarget.value },
      want: "d a b e",
      why: "value",
    },
    {
      ask: { ...all, sortOrder: descend, sortTarget: SortTarget.mod },
      want: "b d e a",
      why: "mod",
    },
    {
      ask: { ...all, sortOrder: ascend, sortTarget: SortTarget.create },
      want: "a b d e",
      why: "create",
    },
    {
      ask: { ...all, sortOrder: ascend, sortTarget: SortTarget.version },
      want: "d e a b",
      why: "version",
    },
    {
      ask: { ...all, sortOrder: none, sortTarget: SortTarget.value },
      want: "d a b e",
      why: "NONE sorts up",
    },
    {
      ask: { ...all, sortOrder: none, sortTarget: SortTarget.value, limit: 1 },
      want: "a",
      count: 4,
      more: true,
      why: "NONE is cut to limit + 1 keys before it is sorted",
    },
    {
      ask: { ...all, sortOrder: ascend, sortTarget: SortTarget.value, limit: 1 },
      want: "d",
      count: 4,
      more: true,
      why: "ASCEND is sorted first",
    },
    { ask: { ...all, sortTarget: 99 }, want: "a b d e", why: "an unknown target does not sort" },
  ]);
});

test("filters on revisions", () => {
  const all = { from: "\0", to: "\0" };
  checkAll(filled(), [
    { ask: { ...all, minModRevision: 6 }, want: "b d e", count: 4, why: "count is before filters" },
    { ask: { ...all, maxModRevision: 5 }, want: "a", count: 4, why: "at most" },
    { ask: { ...all, minCreateRevision: 3 }, want: "b d e", count: 4, why: "created from" },
    { ask: { ...all, maxCreateRevision: 3 }, want: "a b", count: 4, why: "created up to" },
    { ask: { ...all, minModRevision: 6, maxCreateRevision: 3 }, want: "b", count: 4, why: "and" },
    {
      ask: { ...all, minModRevision: 6, limit: 1 },
      want: "b",
      count: 4,
      more: true,
      why: "filtered, then cut",
    },
    { ask: { ...all, maxModRevision: 5, limit: 1 }, want: "a", count: 4, why: "no more that pass" },
    { ask: { ...all, maxModRevision: -1 }, want: "", count: 4, why: "only 0 switches it off" },
    { ask: { from: "a", minModRevision: 6 }, want: "", count: 1, why: "one key filtered away" },
    {
      ask: { from: "a", revision: 4, maxModRevision: 4 },
      want: "a",
      why: "by the row of the time",
    },
  ]);
});

test("keys_only drops values but sorts by them", () => {
  const { store } = filled();
  const fields = { from: "\0", to: "\0", keysOnly: true, sortTarget: SortTarget.value };
  const { rows } = store.read.range(query(fields));
  assert.equal(keysOf(rows), "d a b e");
  assert.ok(rows.every((row) => rowValue(row).length === 0));
  const [row] = store.read.range(query({ from: "a", keysOnly: true })).rows;
  assert.equal(row && rowValue(row).length, 0);
});

test("an answer is refused at the row that makes it too large, by what it tells", () => {
  const harness = new StoreHarness();
  const valueBytes = 1_000;
  for (const key of ["a", "b", "c", "d"]) harness.put(key, key.repeat(valueBytes));
  const all = { from: "\0", to: "\0" };
  // Of two rows, not of three.
  const bytesMax = 2.5 * valueBytes;
  const read = (fields: Fields) =>
    keysOf(harness.store.read.range(query(fields), new AnswerBytes(bytesMax)).rows);
  const byValue = { ...all, sortTarget: SortTarget.value };
  const refused: readonly Fields[] = [
    all,
    { ...all, limit: 3 },
    { ...all, revision: 4 },
    { ...all, sortOrder: SortOrder.descend },
    { ...all, minModRevision: 3 },
    byValue,
    { ...byValue, limit: 4 },
  ];
  const error = {
    code: 8,
    message: /^grpc: trying to send message larger than max \(3\d\d\d vs\. 2500\)$/,
  };
  for (const fields of refused) assert.throws(() => read(fields), error, JSON.stringify(fields));
  const told: readonly (readonly [Fields, string])[] = [
    [{ ...all, limit: 2 }, "a b"],
    [{ ...all, keysOnly: true }, "a b c d"],
    [{ ...all, countOnly: true }, ""],
    [{ ...all, revision: 3 }, "a b"],
    [{ ...all, sortOrder: SortOrder.descend, limit: 2 }, "d c"],
    [{ ...all, minModRevision: 4 }, "c d"],
    [{ ...byValue, limit: 2 }, "a b"],
    [{ ...byValue, keysOnly: true }, "a b c d"],
  ];
  for (const [fields, want] of told) assert.equal(read(fields), want, JSON.stringify(fields));
  const answer = new AnswerBytes(bytesMax);
  const point = () => harness.store.read.range(query({ from: "a" }), answer);
  assert.deepEqual([point().count, point().count], [1, 1]);
  assert.throws(point, error, "ranges of one answer count together");
});
