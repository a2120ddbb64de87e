// Txn, rule by rule (semantics, section 5).
import assert from "node:assert/strict";
import { test } from "node:test";
import { LeaseId } from "../../src/base/brand.ts";
import { errCompacted, errFutureRevision } from "../../src/base/errors.ts";
import { type Compare, CompareResult, CompareTarget } from "../../src/proto/kv.ts";
import { bytes } from "../mvcc/support.ts";
import { command, compareOf, leasesOf, Machine, op, rangeOf, show, txnOf } from "./support.ts";

const { equal, greater, less, notEqual } = CompareResult;
const { version, create, mod, value, lease } = CompareTarget;

/** 2: a=1; 3: b=2 with lease 7; 4: a=3; 5: c=2; deleted at 6. */
function filled(): Machine {
  const machine = new Machine({ leases: leasesOf(7n) });
  machine.apply(
    command.put("a", "1"),
    command.put("b", "2", { lease: 7n }),
    command.put("a", "3"),
    command.put("c", "2"),
    command.delete("c"),
  );
  return machine;
}

const holds = (machine: Machine, guards: readonly Compare[]): boolean =>
  machine.applier.readTxn(txnOf(guards, [])).succeeded;

const number = (kind: "version" | "create" | "mod", n: number) => ({ kind, value: n }) as const;
const text = (t: string) => ({ kind: "value", value: bytes(t) }) as const;
const id = (n: bigint) => ({ kind: "lease", value: LeaseId(n) }) as const;
const guards: readonly (readonly [Compare, boolean, string])[] = [
  [
    compareOf("a", { target: version, result: equal, operand: number("version", 2) }),
    true,
    "version",
  ],
  [compareOf("a", { target: create, result: equal, operand: number("create", 2) }), true, "create"],
  [compareOf("a", { target: mod, result: equal, operand: number("mod", 4) }), true, "mod"],
  [compareOf("a", { target: mod, result: less, operand: number("mod", 4) }), false, "4 < 4"],
  [compareOf("a", { target: mod, result: less, operand: number("mod", 5) }), true, "4 < 5"],
  [compareOf("a", { target: mod, result: greater, operand: number("mod", 3) }), true, "4 > 3"],
  [compareOf("a", { target: mod, result: notEqual, operand: number("mod", 3) }), true, "4 ≠ 3"],
  [compareOf("a", { target: mod, result: notEqual, operand: number("mod", 4) }), false, "4 ≠ 4"],
  [compareOf("a", { target: value, result: equal, operand: text("3") }), true, "value"],
  [compareOf("a", { target: value, result: less, operand: text("30") }), true, "prefix is less"],
  [compareOf("a", { target: value, result: greater, operand: text("3") }), false, "not greater"],
  [compareOf("b", { target: lease, result: equal, operand: id(7n) }), true, "lease"],
  [compareOf("b", { target: lease, result: greater, operand: id(-1n) }), true, "leases are signed"],
  [compareOf("a", { target: lease, result: equal, operand: id(0n) }), true, "no lease is 0"],
  [
    compareOf("a", { target: mod, result: equal, operand: number("version", 4) }),
    false,
    "operand of another target is 0",
  ],
  [compareOf("a", { target: mod, result: greater }), true, "no operand is 0"],
  [compareOf("a", { target: value, result: greater }), true, "no operand is empty"],
  [
    compareOf("a", { target: mod, result: 9, operand: number("mod", 99) }),
    true,
    "unknown results hold",
  ],
  [
    compareOf("a", { target: 9, result: equal, operand: number("mod", 99) }),
    true,
    "unknown targets are equal",
  ],
  [compareOf("a", { target: 9, result: less }), false, "and not less"],
  [
    compareOf("x", { target: version, result: equal, operand: number("version", 0) }),
    true,
    "missing: 0",
  ],
  [
    compareOf("x", { target: mod, result: less, operand: number("mod", 5) }),
    true,
    "missing: 0 < 5",
  ],
  [compareOf("x", { target: lease, result: equal }), true, "missing: no lease"],
  [compareOf("c", { target: version, result: equal }), true, "deleted is missing"],
  [compareOf("x", { target: value, result: equal }), false, "missing has no value"],
  [
    compareOf("x", { target: value, result: notEqual, operand: text("1") }),
    false,
    "not even another",
  ],
  [compareOf("x", { target: value, result: 9 }), false, "whatever is asked"],
  [compareOf("a", { end: "c", target: version, result: greater }), true, "all of a range"],
  [
    compareOf("a", { end: "c", target: value, result: equal, operand: text("2") }),
    false,
    "not all",
  ],
  [
    compareOf("b", { end: "\0", target: value, result: equal, operand: text("2") }),
    true,
    "open end",
  ],
  [compareOf("x", { end: "z", target: version, result: equal }), true, "empty range: attributes 0"],
  [compareOf("x", { end: "z", target: value, result: notEqual }), false, "empty range: no value"],
];

test("guards on attributes", () => {
  const machine = filled();
  for (const [guard, want, why] of guards) assert.equal(holds(machine, [guard]), want, why);
});

test("guards are ANDed; none hold", () => {
  const machine = filled();
  const yes = compareOf("a", { target: version, result: greater });
  const no = compareOf("a", { target: version, result: equal });
  assert.equal(holds(machine, []), true);
  assert.equal(holds(machine, [yes, yes]), true);
  assert.equal(holds(machine, [yes, no]), false);
  assert.equal(show(machine.do(command.txn([no], [op.put("x")], []))), "@6 else {}");
});

const absent = (key: string) => compareOf(key, { target: version, result: equal });

test("the taken branch, its headers and what it sees", () => {
  const rows = [
    {
      txn: command.txn([], [op.range("a"), op.put("a", "9"), op.range("a"), op.delete("x")]),
      want: "@7 then {@6 [a=3 2/4/2] of 1; @7 put; @7 [a=9 2/7/3] of 1; @7 deleted 0}",
      why: "its own writes, and begin before the first of them",
    },
    {
      txn: command.txn(
        [],
        [op.put("a", "9", { prevKv: true }), op.range("a", "", { revision: 6 })],
      ),
      want: "@7 then {@7 put was a=3 2/4/2; @7 [a=3 2/4/2] of 1}",
      why: "an explicit revision reads the past",
    },
    {
      txn: command.txn([], [op.delete("x"), op.range("z")]),
      want: "@6 then {@6 deleted 0; @6 [] of 0}",
      why: "no change, no revision",
    },
    {
      txn: command.txn([], [op.delete("a", "c", true), op.delete("a", "c"), op.range("a", "z")]),
      want: "@7 then {@7 deleted 2 a=3 2/4/2, b=2 3/3/1 lease 7; @7 deleted 0; @7 [] of 0}",
      why: "deletes may overlap",
    },
    {
      txn: command.txn([], [op.txn([absent("a")], [op.put("t")], [op.range("a")]), op.put("u")]),
      want: "@7 then {@0 else {@6 [a=3 2/4/2] of 1}; @7 put}",
      why: "nested headers are empty",
    },
    {
      txn: command.txn([], [op.put("n", "1"), op.txn([absent("n")], [op.put("m", "2")])]),
      want: "@7 then {@7 put; @0 then {@7 put}}",
      why: "nested guards look at the state before the txn",
    },
    {
      txn: command.txn(
        [],
        [op.txn([], [op.put("n")]), op.txn([], [op.delete("n", "", true)]), op.range("n")],
      ),
      want: "@7 then {@0 then {@7 put}; @0 then {@7 deleted 1 n= 7/7/1}; @7 [] of 0}",
      why: "put, then deleted by a sibling",
    },
    { txn: command.txn([], []), want: "@6 then {}", why: "an empty txn" },
  ];
  for (const { txn, want, why } of rows) assert.equal(show(filled().do(txn)), want, why);
});

test("what would fail on the taken path fails the whole txn before any write", () => {
  const lost = "refused 5 etcdserver: requested lease not found";
  const missing = "refused 3 etcdserver: key not found";
  const future = `refused 11 ${errFutureRevision.message}`;
  const compacted = `refused 11 ${errCompacted.message}`;
  const bad = op.put("x", "", { lease: 9n });
  const rows = [
    { txn: command.txn([], [op.put("a"), bad]), want: lost, why: "unknown lease" },
    { txn: command.txn([], [op.put("x", "", { ignoreValue: true })]), want: missing, why: "key" },
    {
      txn: command.txn([], [op.put("n"), op.put("n2", "", { ignoreLease: true })]),
      want: missing,
      why: "no pair to keep",
    },
    {
      txn: command.txn([], [op.put("n"), op.txn([], [op.put("n", "", { ignoreValue: true })])]),
      want: missing,
      why: "what the txn itself puts does not count",
    },
    {
      txn: command.txn([], [op.put("x", "", { ignoreValue: true, lease: 9n })]),
      want: missing,
      why: "within a txn the key is looked at before the lease",
    },
    {
      txn: command.txn([], [op.range("a", "", { revision: 99 }), bad]),
      want: lost,
      why: "puts are looked at before ranges",
    },
    {
      txn: command.txn([], [op.put("a"), op.range("a", "", { revision: 7 })]),
      want: future,
      why: "its own revision is the future",
    },
    {
      txn: command.txn([], [op.put("a"), op.range("a", "", { revision: 3 })]),
      want: compacted,
      why: "below the floor",
    },
    {
      txn: command.txn([], [op.put("a"), op.range("a", "", { revision: -1 })]),
      want: compacted,
      why: "negative is below the floor, in a txn",
    },
    { txn: command.txn([], [op.txn([], [bad])]), want: lost, why: "nested" },
    { txn: command.txn([absent("a")], [bad], []), want: "@6 else {}", why: "not the taken branch" },
  ];
  for (const { txn, want, why } of rows) {
    const machine = filled();
    machine.do(command.compact(4));
    const hash = machine.applier.store.stateHash();
    assert.equal(show(machine.do(txn)), want, why);
    assert.equal(machine.applier.store.stateHash(), hash, `${why}: nothing was written`);
  }
});

test("a txn that slipped past the checks at the door stops nobody", () => {
  const rows = [
    {
      txn: command.txn(
        [],
        [op.delete("a"), op.put("a", "", { ignoreValue: true, ignoreLease: true })],
      ),
      want: "@7 then {@7 deleted 1; @7 put}",
    },
    { txn: command.txn([], [op.put("a"), op.put("a", "2")]), want: "@7 then {@7 put; @7 put}" },
    { txn: command.txn([], [{ kind: "none" }]), want: "@6 then {}" },
    {
      txn: command.txn([], [op.delete("b"), op.put("b", "n")]),
      want: "@7 then {@7 deleted 1; @7 put}",
    },
  ];
  for (const { txn, want } of rows) {
    const machine = filled();
    assert.equal(show(machine.do(txn)), want);
    machine.flush();
    const before = show(machine.applier.range(rangeOf("\0", "\0")));
    machine.restart();
    assert.equal(
      show(machine.applier.range(rangeOf("\0", "\0"))),
      before,
      "and survives a restart",
    );
  }
});

test("a read-only txn is answered from the state at hand", () => {
  const machine = filled();
  const result = machine.applier.readTxn(
    txnOf([absent("a")], [], [op.range("a"), op.range("a", "", { revision: 2 })]),
  );
  assert.equal(show(result), "@6 else {@6 [a=3 2/4/2] of 1; @6 [a=1 2/2/1] of 1}");
  const future = txnOf([], [op.range("a", "", { revision: 7 })]);
  assert.throws(
    () => machine.applier.readTxn(future),
    (error) => error === errFutureRevision,
  );
});

test("the ranges of a read-only txn are refused together when their answers are too large", () => {
  const machine = filled();
  const rowBytes = machine.applier.range(rangeOf("a")).rows[0]?.length ?? 0;
  const txn = txnOf([], [op.range("a"), op.range("a"), op.range("a", "b", { revision: 4 })]);
  const refused = { code: 8, message: /^grpc: trying to send message larger than max / };
  assert.ok(machine.applier.readTxn(txn, 3 * rowBytes));
  assert.throws(() => machine.applier.readTxn(txn, 3 * rowBytes - 1), refused);
  const guarded = command.txn([], [op.put("a", "5"), op.range("a"), op.range("a"), op.range("a")]);
  assert.ok(show(machine.do(guarded)).startsWith("@7 then"), "the log knows no door");
});
