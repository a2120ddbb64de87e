// The applier, command by command: outcomes, revisions, repeats, refusals, what a batch holds.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CommandKind } from "../../src/apply/command.ts";
import type { Gate } from "../../src/apply/gates.ts";
import { Mistake } from "../../src/base/assert.ts";
import { LogIndex, MemberId, Term } from "../../src/base/brand.ts";
import { errNoSpace, errTooManyOps, StatusCode } from "../../src/base/errors.ts";
import { type Entry, EntryKind } from "../../src/raft/types.ts";
import {
  batchOf,
  type Command,
  command,
  leasesOf,
  Machine,
  op,
  rangeOf,
  show,
  showRow,
} from "./support.ts";

const all = (machine: Machine): string =>
  machine.applier.range(rangeOf("\0", "\0")).rows.map(showRow).join(", ");

test("each successful changing command is one revision", () => {
  const machine = new Machine();
  const outcomes = machine.apply(
    command.put("a", "1"),
    command.put("a", "1"),
    command.delete("x"),
    command.txn([], [op.put("b", "1"), op.put("c", "1"), op.delete("a")]),
    command.txn([], [op.range("a")]),
    command.delete("a", "z"),
    command.compact(3),
    command.put("d", "1"),
  );
  assert.deepEqual(outcomes.map(show), [
    "@2 put",
    "@3 put",
    "@3 deleted 0",
    "@4 then {@4 put; @4 put; @4 deleted 1}",
    "@4 then {@4 [] of 0}",
    "@5 deleted 2",
    "@5 compacted",
    "@6 put",
  ]);
  assert.equal(all(machine), "d=1 6/6/1");
});

test("puts: previous pair, flags that keep, leases", () => {
  const machine = new Machine({ leases: leasesOf(7n, -8n) });
  const rows: readonly (readonly [Command, string, string])[] = [
    [command.put("a", "1", { prevKv: true }), "@2 put", "no pair before"],
    [command.put("a", "2", { prevKv: true }), "@3 put was a=1 2/2/1", "the pair before"],
    [command.put("a", "3", { lease: 7n }), "@4 put", "a known lease"],
    [
      command.put("a", "4", { lease: 9n }),
      "refused 5 etcdserver: requested lease not found",
      "an unknown lease, and nothing is written",
    ],
    [
      command.put("a", "", { ignoreValue: true, lease: -8n, prevKv: true }),
      "@5 put was a=3 2/4/3 lease 7",
      "keeps the value and moves the key to another lease",
    ],
    [
      command.put("a", "5", { ignoreLease: true, prevKv: true }),
      "@6 put was a=3 2/5/4 lease -8",
      "keeps the lease",
    ],
    [
      command.put("a", "", { ignoreValue: true, ignoreLease: true, prevKv: true }),
      "@7 put was a=5 2/6/5 lease -8",
      "keeps both: a touch",
    ],
    [command.put("a", "6", { prevKv: true }), "@8 put was a=5 2/7/6 lease -8", "detaches"],
    [
      command.put("x", "", { ignoreValue: true }),
      "refused 3 etcdserver: key not found",
      "nothing to keep",
    ],
    [
      command.put("x", "", { ignoreValue: true, lease: 9n }),
      "refused 5 etcdserver: requested lease not found",
      "the lease is looked at before the key",
    ],
  ];
  for (const [one, want, why] of rows) assert.equal(show(machine.do(one)), want, why);
  assert.equal(all(machine), "a=6 2/8/7");
});

test("deletes: count and previous pairs in key order", () => {
  const machine = new Machine();
  for (const key of ["b", "a", "c"]) machine.do(command.put(key, key));
  const rows: readonly (readonly [Command, string])[] = [
    [command.delete("b", "", true), "@5 deleted 1 b=b 2/2/1"],
    [command.delete("b", "", true), "@5 deleted 0"],
    [command.delete("c", "a", true), "@5 deleted 0"],
    [command.delete("a", "\0", true), "@6 deleted 2 a=a 3/3/1, c=c 4/4/1"],
  ];
  for (const [one, want] of rows) assert.equal(show(machine.do(one)), want);
});

test("what cannot be decoded is refused alike on every member, and the rest of the batch goes on", () => {
  const broken = Buffer.from([0x0a, 0x7f, 0x01]);
  for (const kind of [1, 2, 3, 4] as const) {
    const machine = new Machine();
    const outcomes = machine.apply(command.put("a"), { kind, body: broken }, command.put("b"));
    assert.deepEqual(
      outcomes.map((outcome) => (outcome.kind === "refused" ? outcome.error.code : show(outcome))),
      ["@2 put", StatusCode.internal, "@3 put"],
      `kind ${kind}`,
    );
  }
  const unknown = { kind: 99 as CommandKind, body: Buffer.alloc(0) };
  const [outcome] = new Machine().apply(unknown);
  assert.equal(outcome?.kind, "refused");
});

test("a batch is applied once, however often it is proposed", () => {
  const machine = new Machine();
  type From = readonly [member: bigint, incarnation: number, sequence: number];
  const batch = ([member, incarnation, sequence]: From) =>
    batchOf([command.put("n", `${member}.${incarnation}.${sequence}`)], {
      member: MemberId(member),
      incarnation,
      sequence,
    });
  const rows = [
    { from: [1n, 1, 1], applied: true, why: "the first" },
    { from: [1n, 1, 1], applied: false, why: "the same again" },
    { from: [1n, 1, 3], applied: true, why: "a newer one" },
    { from: [1n, 1, 2], applied: false, why: "one that was overtaken" },
    { from: [2n, 1, 1], applied: true, why: "another member counts for itself" },
    { from: [1n, 2, 1], applied: true, why: "a new incarnation starts again" },
    { from: [1n, 1, 4], applied: false, why: "a late batch of the old incarnation" },
  ] as const;
  for (const restarts of [false, true]) {
    for (const { from, applied, why } of restarts ? [] : rows) {
      const before = machine.applier.revision;
      const outcomes = machine.applyEntry(batch(from));
      assert.equal(outcomes !== undefined, applied, why);
      assert.equal(machine.applier.revision, before + (applied ? 1 : 0), why);
    }
    machine.flush();
    machine.restart();
    for (const { from, why } of rows) {
      assert.equal(machine.applyEntry(batch(from)), undefined, `after a restart: ${why}`);
    }
  }
});

test("origins that were not written are learnt again from the log", () => {
  const machine = new Machine();
  const data = batchOf([command.put("a")], { member: MemberId(9n), incarnation: 4, sequence: 7 });
  machine.applyEntry(data);
  machine.submit();
  machine.restart();
  assert.equal(machine.applyEntry(data), undefined);
  assert.equal(machine.applier.revision, 2);
});

test("entries that were applied are ignored, gaps are a mistake", () => {
  const machine = new Machine();
  machine.do(command.put("a"));
  const [entry] = machine.log;
  assert.ok(entry);
  assert.equal(machine.applier.apply(entry, true), undefined);
  assert.equal(machine.applier.revision, 2);
  const later: Entry = { ...entry, index: LogIndex(3) };
  assert.throws(() => machine.applier.apply(later, true), Mistake);
});

test("entries that are not commands only move the applied index", () => {
  const { applier } = new Machine();
  const barrier = { index: LogIndex(1), kind: EntryKind.barrier, data: Buffer.alloc(0) };
  applier.skip({ ...barrier, term: Term(3) });
  applier.apply(
    { ...barrier, term: Term(4), index: LogIndex(2), kind: EntryKind.membership },
    true,
  );
  assert.deepEqual([applier.applied, applier.appliedTerm, applier.revision], [2, 4, 1]);
});

test("without a caller nothing is answered, and the state is the same", () => {
  const commands = [
    command.put("a", "1", { prevKv: true }),
    command.txn([], [op.put("b", "2", { prevKv: true }), op.range("a"), op.delete("a", "", true)]),
    command.delete("b", "", true),
    command.put("a", "3"),
  ];
  const [asked, unasked] = [new Machine(), new Machine()];
  const data = batchOf(commands, { member: MemberId(1n), incarnation: 1, sequence: 1 });
  assert.equal(asked.applyEntry(data, true)?.length, 4);
  assert.equal(unasked.applyEntry(data, false), undefined);
  assert.equal(all(unasked), all(asked));
  assert.equal(unasked.applier.store.stateHash(), asked.applier.store.stateHash());
});

test("a command that is refused changes nothing", () => {
  const machine = new Machine();
  machine.do(command.put("a"));
  const hash = machine.applier.store.stateHash();
  machine.apply(
    command.put("x", "", { lease: 5n }),
    command.put("x", "", { ignoreValue: true }),
    command.txn([], [op.put("b"), op.put("c", "", { lease: 5n })]),
    command.txn([], [op.put("b"), op.range("a", "", { revision: 99 })]),
    command.compact(99),
  );
  assert.equal(machine.applier.revision, 2);
  assert.equal(machine.applier.store.stateHash(), hash);
});

test("gates judge in order, before everything else", () => {
  const asked: string[] = [];
  const gate = (name: string, error?: typeof errNoSpace): Gate => ({
    refusal: ({ kind }) => {
      asked.push(`${name} ${kind}`);
      return error;
    },
  });
  const machine = new Machine({
    gates: {
      permission: gate("permission", errTooManyOps),
      corrupt: gate("corrupt"),
      quota: gate("quota", errNoSpace),
    },
  });
  const outcome = machine.do(command.put("a", "", { lease: 404n }));
  assert.deepEqual(outcome, { kind: "refused", error: errNoSpace });
  assert.deepEqual(asked.splice(0), ["corrupt put", "quota put"]);
  machine.apply(command.delete("a"), command.txn([], []), command.compact(0));
  assert.deepEqual(
    asked.filter((line) => line.startsWith("quota")),
    ["quota deleteRange", "quota txn", "quota compact"],
  );
  assert.equal(machine.applier.revision, 1);
  const open = new Machine({ gates: { permission: gate("permission") } });
  assert.equal(open.do(command.put("a")).kind, "put");
});
