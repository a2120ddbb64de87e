// Changes of membership: their meaning, their bytes, and bytes of somebody else.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LogIndex, MemberId, Term } from "../../src/base/brand.ts";
import { Configurations } from "../../src/raft/configurations.ts";
import {
  changed,
  decodeChange,
  encodeChange,
  type MembershipChange,
} from "../../src/raft/membership.ts";
import type { Membership } from "../../src/raft/types.ts";

const id = (value: number): MemberId => MemberId(BigInt(value));
const of = (voters: number[], learners: number[] = [], outgoing: number[] = []): Membership => ({
  voters: voters.map(id),
  learners: learners.map(id),
  outgoing: outgoing.map(id),
});

test("changed gives the membership after a change, or a reason", () => {
  const joint: MembershipChange = { kind: "joint", voters: [id(1), id(4)], learners: [id(2)] };
  const rows: readonly {
    before: Membership;
    change: MembershipChange;
    want: Membership | string;
  }[] = [
    { before: of([1]), change: { kind: "addVoter", id: id(2) }, want: of([1, 2]) },
    { before: of([1]), change: { kind: "addLearner", id: id(2) }, want: of([1], [2]) },
    { before: of([1], [2]), change: { kind: "promote", id: id(2) }, want: of([1, 2]) },
    { before: of([1, 2]), change: { kind: "remove", id: id(1) }, want: of([2]) },
    { before: of([1], [2]), change: { kind: "remove", id: id(2) }, want: of([1]) },
    { before: of([1]), change: { kind: "remove", id: id(1) }, want: "a cluster needs a voter" },
    { before: of([1]), change: { kind: "remove", id: id(3) }, want: "3 is no member" },
    { before: of([1]), change: { kind: "addVoter", id: id(1) }, want: "1 is a member" },
    { before: of([1]), change: { kind: "addVoter", id: id(0) }, want: "a member has an id" },
    { before: of([1], [2]), change: { kind: "addVoter", id: id(2) }, want: "2 is a member" },
    { before: of([1]), change: { kind: "promote", id: id(1) }, want: "1 is not a learner" },
    { before: of([1, 2, 3]), change: joint, want: of([1, 4], [2], [1, 2, 3]) },
    { before: of([1, 4], [2], [1, 2, 3]), change: { kind: "leave" }, want: of([1, 4], [2]) },
    { before: of([1]), change: { kind: "leave" }, want: "not in a joint change" },
    { before: of([1], [], [2]), change: joint, want: "a joint change is under way" },
  ];
  for (const { before, change, want } of rows) assert.deepEqual(changed(before, change), want);
});

const ids = fc.uniqueArray(fc.bigInt(1n, 2n ** 64n - 1n), { maxLength: 8 });
const anyChange: fc.Arbitrary<MembershipChange> = fc.oneof(
  fc
    .tuple(
      fc.constantFrom("addVoter", "addLearner", "promote", "remove"),
      fc.bigInt(1n, 2n ** 64n - 1n),
    )
    .map(([kind, one]): MembershipChange => ({ kind, id: MemberId(one) })),
  fc.tuple(ids, ids).map(
    ([voters, learners]): MembershipChange => ({
      kind: "joint",
      voters: voters.map(MemberId),
      learners: learners.map(MemberId),
    }),
  ),
  fc.constant<MembershipChange>({ kind: "leave" }),
);

test("a change and its context come back from their bytes", () => {
  fc.assert(
    fc.property(anyChange, fc.uint8Array({ maxLength: 40 }), (change, context) => {
      const decoded = decodeChange(encodeChange(change, context));
      assert.deepEqual(decoded?.change, change);
      assert.deepEqual(Buffer.from(decoded?.context ?? []), Buffer.from(context));
    }),
  );
});

test("foreign bytes are refused, never thrown about", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => void decodeChange(bytes)));
  assert.equal(decodeChange(new Uint8Array()), undefined);
  assert.equal(decodeChange(Uint8Array.of(2, 0, 0, 0)), undefined, "another version");
  assert.equal(decodeChange(Uint8Array.of(1, 0, 0, 0)), undefined, "no id");
  assert.equal(decodeChange(Uint8Array.of(1, 0, 1, 0)), undefined, "cut short");
});

test("the latest configuration in the log is in force, until it is cut", () => {
  const all = new Configurations([{ index: LogIndex(3), membership: of([1]) }]);
  const entry = (index: number, added: number) => ({
    index: LogIndex(index),
    term: Term(1),
    kind: 2 as const,
    data: encodeChange({ kind: "addVoter", id: id(added) }, new Uint8Array()),
  });
  assert.equal(all.append(entry(5, 2)), true);
  assert.ok(!all.append(entry(6, 2)), "void");
  assert.equal(all.append(entry(7, 3)), true);
  assert.deepEqual(all.latest, of([1, 2, 3]));
  assert.deepEqual(all.at(LogIndex(6)), of([1, 2]));
  all.cut(LogIndex(6));
  assert.deepEqual(all.latest, of([1, 2]));
  all.forgetBefore(LogIndex(5));
  all.cut(LogIndex(0));
  assert.deepEqual(all.latest, of([1, 2]), "what is applied is never cut");
});
