// The replicated table of members: what changes make of it, what survives a crash, what is forgotten.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Applier } from "../../src/apply/applier.ts";
import { BatchBuilder, CommandKind } from "../../src/apply/command.ts";
import {
  decodeAttributes,
  decodeContext,
  encodeAttributes,
  encodeContext,
  fitsRecord,
  type MemberAttributes,
  memberTextBytesMax,
  memberUrlsMax,
} from "../../src/apply/memberRecord.ts";
import { configurationsMax, removedIdsMax } from "../../src/apply/members.ts";
import { LogIndex, MemberId, Term } from "../../src/base/brand.ts";
import { type Entry, EntryKind, type Membership } from "../../src/raft/types.ts";
import { Disk } from "../mvcc/support.ts";

const id = (value: number): MemberId => MemberId(BigInt(value));
const of = (voters: number[], learners: number[] = []): Membership => ({
  voters: voters.map(id),
  outgoing: [],
  learners: learners.map(id),
});
const told = (value: number, ...peerUrls: string[]): MemberAttributes => ({
  id: id(value),
  birth: 0,
  name: "",
  peerUrls,
  clientUrls: [],
});

/** An applier that is given memberships as raft would give them, and a disk to lose it from. */
class Table {
  readonly disk = new Disk();
  applier = Applier.open(this.disk.engine);

  get members() {
    return this.applier.members;
  }

  change(
    membership: Membership,
    { by, members = [] }: { by?: [number, number]; members?: readonly MemberAttributes[] } = {},
  ): void {
    const entry = this.#next(EntryKind.membership, new Uint8Array(0));
    const origin = by && { member: id(by[0]), incarnation: 1, sequence: by[1] };
    this.applier.applyMembership(entry, { origin, members, membership });
  }

  publish(member: MemberAttributes): unknown {
    const builder = new BatchBuilder();
    builder.add(CommandKind.memberPublish, encodeAttributes(member));
    const sequence = this.applier.applied + 1;
    const data = builder.finish({ member: member.id, incarnation: 1, sequence });
    return this.applier.apply(this.#next(EntryKind.normal, data), true)?.[0];
  }

  reopen({ written }: { written: boolean }): void {
    if (written) {
      const batch = this.applier.takeBatch();
      assert.ok(batch);
      this.disk.engine.submit(batch, () => this.applier.batchWritten());
      this.disk.complete();
    }
    this.disk.crash();
    this.applier = Applier.open(this.disk.engine);
  }

  rows(): readonly unknown[] {
    const byId = this.members.all().toSorted((a, b) => Number(a.id - b.id));
    return byId.map((member) => [Number(member.id), member.name, ...member.peerUrls]);
  }

  #next(kind: Entry["kind"], data: Uint8Array): Entry {
    return { term: Term(1), index: LogIndex(this.applier.applied + 1), kind, data };
  }
}

test("members come, tell their names, move and go, and all of it survives a restart", () => {
  const table = new Table();
  assert.equal(table.members.known, false);
  table.change(of([1, 2]), { members: [told(1, "http://a:1"), told(2, "http://b:1")] });
  assert.equal(table.members.known, true);
  assert.deepEqual(table.publish({ ...told(2), name: "two", birth: 7 }), {
    kind: "memberPublished",
    revision: 1,
  });
  table.change(of([1, 2], [3]), { members: [told(3, "http://c:1")], by: [1, 1] });
  table.change(of([1, 2], [3]), { members: [told(2, "http://b:2")], by: [2, 5] });
  const want = [
    [1, "", "http://a:1"],
    [2, "two", "http://b:2"],
    [3, "", "http://c:1"],
  ];
  assert.deepEqual(table.rows(), want, "a new address keeps the name");
  table.reopen({ written: true });
  assert.deepEqual(table.rows(), want);
  assert.equal(table.members.get(id(2))?.birth, 7);
  assert.equal(table.members.lastChange(id(2))?.sequence, 5);
  assert.deepEqual(table.members.configurations.at(-1)?.membership, of([1, 2], [3]));
  table.change(of([1]), { by: [2, 6] });
  assert.deepEqual(table.rows(), want.slice(0, 1));
  for (const gone of [2, 3]) assert.ok(table.members.isRemoved(id(gone)));
  assert.equal(table.members.lastChange(id(2)), undefined, "who is gone asks for nothing");
  table.reopen({ written: true });
  assert.ok(table.members.isRemoved(id(3)) && !table.members.isRemoved(id(1)));
  assert.equal(table.members.lastChange(id(2)), undefined);
});

test("what was not written is taken back by a crash, together with the applied index", () => {
  const table = new Table();
  table.change(of([1]), { members: [told(1, "http://a:1")] });
  table.reopen({ written: true });
  table.change(of([1, 2]), { members: [told(2, "http://b:1")], by: [1, 1] });
  table.reopen({ written: false });
  assert.equal(table.applier.applied, 1);
  assert.deepEqual(table.rows(), [[1, "", "http://a:1"]]);
  assert.equal(table.members.lastChange(id(1)), undefined);
});

test("a name of nobody is refused", () => {
  const table = new Table();
  table.change(of([1]));
  const outcome = table.publish({ ...told(9), name: "nine" });
  assert.match(JSON.stringify(outcome), /refused/);
  assert.equal(table.members.get(id(9)), undefined);
});

test("removed ids and memberships of the past have bounds, after a restart as well", () => {
  const table = new Table();
  const count = removedIdsMax + 10;
  for (let i = 0; i < count; i++) {
    table.change(of([1, 100 + i]));
    table.change(of([1]));
  }
  const check = (): void => {
    const { members } = table;
    for (let i = 0; i < 10; i++) assert.equal(members.isRemoved(id(100 + i)), false, `old ${i}`);
    for (let i = 10; i < count; i++) assert.ok(members.isRemoved(id(100 + i)), `new ${i}`);
    assert.equal(members.configurations.length, configurationsMax);
  };
  check();
  table.reopen({ written: true });
  check();
  table.change(of([1, 2]));
  table.change(of([1]));
  assert.equal(table.members.isRemoved(id(110)), false, "the oldest goes first");
  assert.ok(table.members.isRemoved(id(111)) && table.members.isRemoved(id(2)));
});

const plain = { noNullPrototype: true };
const anyText = fc.string({ unit: "grapheme", maxLength: 40 });
const anyMember: fc.Arbitrary<MemberAttributes> = fc.record(
  {
    id: fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }).map(MemberId),
    birth: fc.maxSafeNat().map((n) => n % 2 ** 48),
    name: anyText,
    peerUrls: fc.array(anyText, { maxLength: 5 }),
    clientUrls: fc.array(anyText, { maxLength: 5 }),
  },
  plain,
);

test("records come back as they were, and nothing but records is one", () => {
  const change = fc.record(
    {
      origin: fc.option(
        fc.record(
          {
            member: fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }).map(MemberId),
            incarnation: fc.maxSafeNat().map((n) => n % 2 ** 48),
            sequence: fc.maxSafeNat().map((n) => n % 2 ** 48),
          },
          plain,
        ),
        { nil: undefined },
      ),
      members: fc.array(anyMember, { maxLength: 4 }),
    },
    plain,
  );
  fc.assert(
    fc.property(change, fc.nat(), (context, cut) => {
      const bytes = encodeContext(context);
      assert.deepEqual(decodeContext(bytes), context);
      assert.equal(decodeContext(bytes.subarray(0, cut % bytes.length)), undefined);
      assert.equal(decodeContext(Buffer.concat([bytes, Buffer.of(0)])), undefined);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      const decoded = decodeAttributes(bytes);
      if (decoded !== undefined)
        assert.deepEqual(decodeAttributes(encodeAttributes(decoded)), decoded);
      decodeContext(bytes);
    }),
  );
});

test("a record has bounds", () => {
  const long = "x".repeat(memberTextBytesMax + 1);
  const many = Array.from({ length: memberUrlsMax + 1 }, () => "u");
  assert.ok(fitsRecord({ ...told(1, "u"), name: "x".repeat(memberTextBytesMax) }));
  assert.equal(fitsRecord({ ...told(1), name: long }), false);
  assert.equal(fitsRecord({ ...told(1), name: "é".repeat(memberTextBytesMax) }), false);
  assert.equal(fitsRecord(told(1, long)), false);
  assert.equal(fitsRecord(told(1, ...many)), false);
  assert.equal(fitsRecord({ ...told(1), clientUrls: many }), false);
});
