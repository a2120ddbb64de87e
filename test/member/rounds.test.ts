// What a member holds back, and for how long: near peers answer before it is noticed, far ones are not
// waited for.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandKind } from "../../src/apply/command.ts";
import { MemberId, Term } from "../../src/base/brand.ts";
import { overlapMsMin } from "../../src/member/overlap.ts";
import { batchesOverlappingMax, Pending } from "../../src/member/pending.ts";
import { holdTicksMax, Rounds } from "../../src/member/rounds.ts";

const self = MemberId(1n);
const caller = { onOutcome: () => {}, onRefused: () => {} };

function setUp() {
  const raft = { isCommitting: false, uncommittedBytes: 0, step: () => void forwarded++ };
  let forwarded = 0;
  let nowMs = 0;
  const proposed: number[] = [];
  const wakes: number[] = [];
  const pending = new Pending({ self, incarnation: 1, waitTicksMax: 70, resendTicksMin: 20 });
  const rounds = new Rounds({
    ...{ raft, pending, clock: { nowMs: () => nowMs } },
    propose: (datas) => {
      proposed.push(datas.length);
      raft.isCommitting = true;
    },
    wakeIn: (ms) => void wakes.push(ms),
  });
  return {
    ...{ raft, pending, rounds, proposed, wakes },
    forwards: () => forwarded,
    /** Commands of 100 bytes. */
    add: (count: number) => {
      for (let i = 0; i < count; i++) pending.add(CommandKind.put, new Uint8Array(100), caller);
    },
    pass: (ms: number) => {
      nowMs += ms;
    },
    turn: () => {
      const before = proposed.length;
      rounds.begin();
      rounds.wakeWhenDue();
      return proposed.length > before;
    },
  };
}

test("a leader holds back what comes while a round is young, and what is little a bit longer", () => {
  const { raft, rounds, add, pass, turn, wakes } = setUp();
  add(10);
  assert.ok(turn(), "nothing is on its way: it leaves at once");
  raft.uncommittedBytes = 1_000;
  add(9);
  assert.ok(!turn(), "a near peer would answer soon");
  assert.deepEqual(wakes, [overlapMsMin], "and if not, it is looked at again");
  pass(overlapMsMin);
  assert.ok(rounds.isDue);
  assert.ok(turn(), "nobody waits for a far one");
  raft.uncommittedBytes = 1_900;
  pass(overlapMsMin);
  add(2);
  assert.ok(!turn(), "too little for a round of its own");
  pass(wakes.at(-1) ?? 0);
  assert.ok(rounds.isDue, "but not for long");
  raft.uncommittedBytes = 0;
  raft.isCommitting = false;
  assert.ok(rounds.isDue, "all is committed");
});

test("after some ticks everything goes, and batches of followers count like its own", () => {
  const { raft, rounds, add, pass, turn, forwards } = setUp();
  add(10);
  turn();
  raft.uncommittedBytes = 1_000;
  const forward = (bytes: number) =>
    rounds.add({
      ...{ kind: "forward", from: MemberId(2n), to: self, term: Term(0) },
      datas: [new Uint8Array(bytes)],
    });
  forward(400);
  pass(overlapMsMin);
  turn();
  assert.equal(forwards(), 0);
  forward(100);
  turn();
  assert.equal(forwards(), 2);
  forward(1);
  for (let i = 0; i < holdTicksMax; i++) rounds.tick();
  turn();
  assert.equal(forwards(), 3);
});

test("a follower has few batches under way, or some that overlap, and never more than its bound", () => {
  const { raft, add, pass, turn, proposed } = setUp();
  const asFollower = (): boolean => {
    const went = turn();
    raft.isCommitting = false;
    return went;
  };
  for (let i = 0; i < 2; i++) {
    add(1);
    assert.ok(asFollower());
  }
  add(50);
  assert.ok(!asFollower(), "two are enough while answers are near");
  for (let i = 0; i < 2 * batchesOverlappingMax; i++) {
    pass(100);
    asFollower();
    add(50);
  }
  assert.equal(proposed.length, batchesOverlappingMax);
});
