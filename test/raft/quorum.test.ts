// Majorities against their definition: how many voters hold at least this index?
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LogIndex, MemberId } from "../../src/base/brand.ts";
import { jointIndex, jointVote, majorityIndex, voteResult } from "../../src/raft/quorum.ts";

const voters = (count: number): MemberId[] =>
  Array.from({ length: count }, (_, i) => MemberId(BigInt(i + 1)));

const ackedOf = (indexes: readonly number[]): Map<MemberId, LogIndex> =>
  new Map(indexes.map((index, i) => [MemberId(BigInt(i + 1)), LogIndex(index)]));

test("majorityIndex finds what a majority has stored", () => {
  const rows = [
    { acked: [5], count: 1, want: 5, why: "alone" },
    { acked: [5, 3], count: 2, want: 3, why: "two of two" },
    { acked: [5, 3, 9], count: 3, want: 5, why: "two of three" },
    { acked: [5], count: 3, want: 0, why: "silent members count as 0" },
    { acked: [4, 4, 2, 1], count: 4, want: 2, why: "three of four" },
    { acked: [], count: 0, want: Number.MAX_SAFE_INTEGER, why: "nobody holds back nothing" },
  ];
  for (const { acked, count, want, why } of rows) {
    assert.equal(majorityIndex(ackedOf(acked), voters(count)), want, why);
  }
});

test("majorityIndex is the highest index that more than half of the voters reached", () => {
  const indexes = fc.array(fc.nat(20), { minLength: 1, maxLength: 9 });
  fc.assert(
    fc.property(indexes, (acked) => {
      const index = majorityIndex(ackedOf(acked), voters(acked.length));
      const holders = (least: number): number => acked.filter((one) => one >= least).length;
      return holders(index) * 2 > acked.length && holders(index + 1) * 2 <= acked.length;
    }),
  );
});

test("a joint configuration needs both halves", () => {
  const membership = { voters: voters(3), outgoing: [4n, 5n].map(MemberId), learners: [] };
  const acked = ackedOf([9, 9, 9, 4, 2]);
  assert.equal(jointIndex(acked, membership), 2);
  const won = new Map(voters(3).map((id) => [id, true]));
  assert.equal(jointVote(won, membership), "pending");
  assert.equal(jointVote(new Map([...won, [MemberId(4n), false]]), membership), "lost");
});

test("voteResult decides as soon as the rest cannot change it", () => {
  const rows = [
    { votes: [true, true], count: 3, want: "won", why: "two of three" },
    { votes: [true, false], count: 3, want: "pending", why: "the third decides" },
    { votes: [false, false], count: 3, want: "lost", why: "one is left" },
    { votes: [true, false], count: 2, want: "lost", why: "two of two are needed" },
    { votes: [true, true, false, false], count: 4, want: "lost", why: "a tie is lost" },
    { votes: [], count: 0, want: "won", why: "an empty half decides nothing" },
  ];
  for (const { votes, count, want, why } of rows) {
    const given = new Map(votes.map((vote, i) => [MemberId(BigInt(i + 1)), vote]));
    given.set(MemberId(99n), true);
    assert.equal(voteResult(given, voters(count)), want, why);
  }
});
