// Checks before the log, row by row. Every expectation was observed on etcd 3.5.30.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  checkDeleteRange,
  checkPut,
  checkRange,
  checkSize,
  checkTxn,
} from "../../src/api/validate.ts";
import { LeaseId, noLease } from "../../src/base/brand.ts";
import {
  type EtcdError,
  errDuplicateKey,
  errEmptyKey,
  errInvalidSortOption,
  errKeyNotFound,
  errLeaseProvided,
  errRequestTooLarge,
  errTooManyOps,
  errValueProvided,
} from "../../src/base/errors.ts";
import type { PutRequest, RangeRequest, RequestOp, TxnRequest } from "../../src/proto/kv.ts";
import { cpuMsOf } from "../support/cpuTime.ts";

const none: RequestOp = { kind: "none" };

test("put", () => {
  const rows: readonly Row<Partial<PutRequest>>[] = [
    { input: {}, want: errEmptyKey, why: "no key" },
    { input: { key: utf8("k") }, want: undefined, why: "no value is a value" },
    {
      input: { key: utf8("k"), value: utf8("v"), ignoreValue: true },
      want: errValueProvided,
      why: "a value to be ignored",
    },
    {
      input: { key: utf8("k"), lease: LeaseId(-5n), ignoreLease: true },
      want: errLeaseProvided,
      why: "a lease to be ignored",
    },
    {
      input: { value: utf8("v"), lease: LeaseId(5n), ignoreValue: true, ignoreLease: true },
      want: errEmptyKey,
      why: "the key is looked at first",
    },
    {
      input: {
        key: utf8("k"),
        value: utf8("v"),
        lease: LeaseId(5n),
        ignoreValue: true,
        ignoreLease: true,
      },
      want: errValueProvided,
      why: "the value before the lease",
    },
    {
      input: { key: utf8("k"), ignoreValue: true, ignoreLease: true },
      want: undefined,
      why: "a touch",
    },
  ];
  check(rows, (input) => checkPut(putOf(input)));
});

test("range and deleteRange", () => {
  const rows: readonly Row<Partial<RangeRequest>>[] = [
    { input: {}, want: errEmptyKey, why: "no key" },
    { input: { rangeEnd: utf8("z") }, want: errEmptyKey, why: "an end is no key" },
    { input: { sortTarget: 9 }, want: errEmptyKey, why: "the key is looked at first" },
    { input: { key: utf8("k"), limit: -1, revision: -1 }, want: undefined, why: "taken as 0" },
    { input: { key: utf8("k"), sortOrder: 7 }, want: undefined, why: "3.5 leaves it unsorted" },
    { input: { key: utf8("k"), sortOrder: -1 }, want: undefined, why: "the same below 0" },
    { input: { key: utf8("k"), sortTarget: 4 }, want: undefined, why: "the last known target" },
    { input: { key: utf8("k"), sortTarget: 5 }, want: errInvalidSortOption, why: "3.5 crashes" },
    { input: { key: utf8("k"), sortTarget: -1 }, want: errInvalidSortOption, why: "3.5 crashes" },
  ];
  check(rows, (input) => checkRange(rangeOf(input)));
  const request = { key: utf8(""), rangeEnd: utf8("z"), prevKv: true };
  assert.equal(checkDeleteRange(request), errEmptyKey);
  assert.equal(checkDeleteRange({ ...request, key: utf8("\0") }), undefined);
});

test("size counts what etcd's log would hold", () => {
  assert.equal(checkSize(new Uint8Array(1_572_847)), undefined);
  assert.equal(checkSize(new Uint8Array(1_572_848)), errRequestTooLarge);
});

test("txn: number and form of ops", () => {
  const compare = { result: 0, target: 0, key: utf8("k"), rangeEnd: utf8(""), operand: undefined };
  const noKey = { ...compare, key: utf8("") };
  const rows: readonly Row<Partial<TxnRequest>>[] = [
    { input: {}, want: undefined, why: "an empty txn" },
    { input: { success: puts(128) }, want: undefined, why: "as many as allowed" },
    { input: { success: puts(129) }, want: errTooManyOps, why: "one more" },
    { input: { failure: puts(129) }, want: errTooManyOps, why: "in failure" },
    { input: { compare: times(129, () => noKey) }, want: errTooManyOps, why: "number before key" },
    { input: { success: puts(128), failure: puts(128) }, want: undefined, why: "not their sum" },
    { input: { compare: [noKey], success: [none] }, want: errEmptyKey, why: "compares before ops" },
    { input: { success: [none] }, want: errKeyNotFound, why: "an op without a member" },
    { input: { failure: [none] }, want: errKeyNotFound, why: "also if not taken" },
    { input: { success: [put("")] }, want: errEmptyKey, why: "each op as on its own" },
    { input: { success: [range("")], failure: [none] }, want: errEmptyKey, why: "success first" },
    { input: { success: [del("")] }, want: errEmptyKey, why: "a delete without key" },
    {
      input: { success: [txn([range("a", { sortTarget: 8 })])] },
      want: errInvalidSortOption,
      why: "nested",
    },
    { input: { success: [txn([], [none])] }, want: errKeyNotFound, why: "nested failure" },
    { input: { success: [txn(puts(127))] }, want: undefined, why: "what the outer op left over" },
    { input: { success: [txn(puts(128))] }, want: errTooManyOps, why: "one more than left over" },
    {
      input: { success: [txn(puts(100)), ...puts(27, "x")] },
      want: undefined,
      why: "28 outside leave 100",
    },
    { input: { success: [txn(puts(101)), ...puts(27, "x")] }, want: errTooManyOps, why: "not 101" },
    {
      input: { success: [txn(puts(100)), txn(puts(100, "x"))] },
      want: undefined,
      why: "siblings do not share",
    },
    {
      input: { success: [txn(puts(126))], compare: [compare, compare, compare] },
      want: errTooManyOps,
      why: "the longest list counts",
    },
    { input: { success: [chain(128)] }, want: undefined, why: "129 txns, one in the other" },
    { input: { success: [chain(129)] }, want: errTooManyOps, why: "one more" },
    {
      input: { success: [put("a"), put("a"), none] },
      want: errKeyNotFound,
      why: "collisions are looked for last",
    },
    { input: { success: [put("a"), put("a")] }, want: errDuplicateKey, why: "in success" },
    { input: { failure: [put("a"), put("a")] }, want: errDuplicateKey, why: "in failure" },
    {
      input: { success: [put("a")], failure: [put("a")] },
      want: undefined,
      why: "one of the two runs",
    },
  ];
  check(rows, (input) => checkTxn({ compare: [], success: [], failure: [], ...input }));
});

test("txn: colliding writes", () => {
  const rows: readonly { ops: readonly RequestOp[]; collide: boolean; why: string }[] = [
    { ops: [put("a"), put("b")], collide: false, why: "two keys" },
    { ops: [put("a"), put("a")], collide: true, why: "put twice" },
    { ops: [put("a"), range("a"), del("b")], collide: false, why: "reads collide with nothing" },
    { ops: [del("a"), put("a")], collide: true, why: "deleted, then put" },
    { ops: [put("a"), del("a")], collide: true, why: "put, then deleted" },
    { ops: [del("a"), put("a\0")], collide: false, why: "the next key" },
    { ops: [del("p", "r"), put("q")], collide: true, why: "within a deleted range" },
    { ops: [del("p", "q"), put("q")], collide: false, why: "its end is not deleted" },
    { ops: [del("p", "r"), put("p")], collide: true, why: "its begin is" },
    { ops: [del("a", "\0"), put("q")], collide: false, why: "etcd reads that end as below all" },
    { ops: [del("z", "a"), put("q")], collide: false, why: "an end below the key" },
    { ops: [del("a", "z"), del("b", "y"), del("c")], collide: false, why: "deletes never collide" },
    { ops: [del("a", "c"), del("c", "e"), put("d")], collide: true, why: "one of two ranges" },
    { ops: [del("a", "z"), del("b", "c"), put("m")], collide: true, why: "a range in a range" },
    { ops: [del("m", "n"), del("a", "b"), put("a1")], collide: true, why: "ranges out of order" },
    { ops: [put("\u00ff"), del("a", "\u00fe")], collide: false, why: "bytes are not signed" },
    { ops: [txn([put("a")], [put("a")])], collide: false, why: "then or else" },
    { ops: [txn([del("a")], [put("a")])], collide: false, why: "the same with a delete" },
    { ops: [txn([put("a"), put("a")])], collide: true, why: "within a nested txn" },
    { ops: [txn([], [del("a"), put("a")])], collide: true, why: "within its failure" },
    { ops: [put("a"), txn([put("a")])], collide: true, why: "parent and nested" },
    { ops: [txn([], [put("a")]), put("a")], collide: true, why: "in either order" },
    { ops: [txn([put("a")]), txn([put("a")])], collide: true, why: "two siblings" },
    { ops: [txn([put("a")]), txn([], [put("a")])], collide: true, why: "both could run" },
    { ops: [del("a"), txn([put("a")])], collide: true, why: "a parent's delete" },
    { ops: [txn([put("a")]), del("a")], collide: true, why: "the same behind it" },
    { ops: [put("q"), txn([del("p", "r")])], collide: true, why: "a nested delete" },
    { ops: [txn([], [del("p", "r")]), put("q")], collide: true, why: "in its failure" },
    { ops: [txn([del("a", "\0")]), put("q")], collide: false, why: "a nested one without end" },
    { ops: [txn([del("a")]), txn([put("a")])], collide: true, why: "sibling deletes, then puts" },
    {
      ops: [txn([put("a")]), txn([del("a")])],
      collide: false,
      why: "the other way round: let through",
    },
    {
      ops: [txn([txn([put("a")])]), txn([txn([put("a")])])],
      collide: true,
      why: "two levels down",
    },
    {
      ops: [txn([txn([put("a")])], [txn([put("a")])])],
      collide: false,
      why: "then or else, deeper",
    },
    {
      ops: [txn([txn([put("a")], [put("b")])], [put("b")]), put("b")],
      collide: true,
      why: "one of three",
    },
  ];
  for (const { ops, collide, why } of rows) {
    const want = collide ? errDuplicateKey : undefined;
    assert.equal(checkTxn({ compare: [], success: ops, failure: [] }), want, why);
    assert.equal(checkTxn({ compare: [], success: [], failure: ops }), want, `failure: ${why}`);
  }
});

test("the look for collisions takes time in proportion to the txn", () => {
  const costMs = (keys: number): number => {
    const list = (from: number): RequestOp[] =>
      times(8, (i) => txn(times(keys / 8, (j) => put(`${from}/${i}/${j}`))));
    const request = { compare: [], success: list(0), failure: list(1) };
    return cpuMsOf(() => assert.equal(checkTxn(request, 1_000_000), undefined));
  };
  costMs(8_000);
  const ratio = costMs(64_000) / Math.max(costMs(8_000), 0.5);
  // Eight times the work; sixty-four times would be quadratic.
  assert.ok(ratio < 40, `eight times the keys took ${ratio.toFixed(1)} times as long`);
});

interface Row<T> {
  readonly input: T;
  readonly want: EtcdError | undefined;
  readonly why: string;
}

function check<T>(rows: readonly Row<T>[], judge: (input: T) => EtcdError | undefined): void {
  for (const { input, want, why } of rows) assert.equal(judge(input), want, why);
}

function utf8(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}

function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

function putOf(fields: Partial<PutRequest>): PutRequest {
  return {
    key: utf8(""),
    value: utf8(""),
    lease: noLease,
    prevKv: false,
    ignoreValue: false,
    ignoreLease: false,
    ...fields,
  };
}

function rangeOf(fields: Partial<RangeRequest>): RangeRequest {
  return {
    key: utf8(""),
    rangeEnd: utf8(""),
    limit: 0,
    revision: 0,
    sortOrder: 0,
    sortTarget: 0,
    serializable: false,
    keysOnly: false,
    countOnly: false,
    minModRevision: 0,
    maxModRevision: 0,
    minCreateRevision: 0,
    maxCreateRevision: 0,
    ...fields,
  };
}

function put(key: string): RequestOp {
  return { kind: "put", request: putOf({ key: utf8(key) }) };
}

function puts(count: number, prefix = "k"): RequestOp[] {
  return times(count, (index) => put(`${prefix}${index}`));
}

function del(key: string, end = ""): RequestOp {
  return { kind: "deleteRange", request: { key: utf8(key), rangeEnd: utf8(end), prevKv: false } };
}

function range(key: string, fields: Partial<RangeRequest> = {}): RequestOp {
  return { kind: "range", request: rangeOf({ key: utf8(key), ...fields }) };
}

function txn(success: readonly RequestOp[], failure: readonly RequestOp[] = []): RequestOp {
  return { kind: "txn", request: { compare: [], success, failure } };
}

/** `depth` txns, each the only op of the one around it. */
function chain(depth: number): RequestOp {
  return depth === 1 ? txn([]) : txn([chain(depth - 1)]);
}
