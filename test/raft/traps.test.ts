// Known traps of other implementations, one named test each; more of them are transcripts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LogIndex, MemberId, Term } from "../../src/base/brand.ts";
import type { RaftConfig } from "../../src/raft/config.ts";
import { readsForwardedMax, readsPendingMax, termMax } from "../../src/raft/config.ts";
import type { MembershipChange } from "../../src/raft/membership.ts";
import type { MembershipResult } from "../../src/raft/ready.ts";
import { Stage } from "./stage.ts";

const ids = [1n, 2n, 3n].map(MemberId);
const [one = MemberId(0n), two = MemberId(0n), three = MemberId(0n)] = ids;

function stageOf(config: Partial<RaftConfig>, count = 3): Stage {
  const stage = new Stage(config);
  const voters = ids.slice(0, count);
  for (const id of voters) stage.add(id, { voters });
  return stage;
}

const four = MemberId(4n);
const five = MemberId(5n);

const modes: readonly Partial<RaftConfig>[] = [
  { preVote: false, checkQuorum: false },
  { preVote: true, checkQuorum: false },
  { preVote: false, checkQuorum: true },
  { preVote: true, checkQuorum: true },
];

/** Ticks all until some member leads and everybody follows it. */
function recover(stage: Stage, why: string): void {
  for (let i = 0; i < 100; i++) {
    stage.tick(stage.ids, 1);
    stage.settle();
    const statuses = stage.ids.map((id) => stage.member(id).node.status());
    const leader = statuses.find(({ role }) => role === "leader");
    if (leader && statuses.every((one) => one.leader === leader.id && one.term === leader.term))
      return;
  }
  assert.fail(`no leader: ${why}`);
}

test("trap: etcd #8243, #8501, #9586: no mix of pre-vote and check-quorum deadlocks", () => {
  for (const [a, b, c] of mixes()) {
    const why = JSON.stringify([a, b, c]);
    const stage = stageOf({});
    [a, b, c].forEach((mode, i) => {
      stage.restart(ids[i] ?? one, mode);
    });
    recover(stage, `${why} at first`);
    const lost = stage.ids.find((id) => stage.member(id).node.role !== "leader") ?? one;
    stage.cut([lost]);
    stage.tick([lost], 70);
    stage.heal();
    recover(stage, `${why} after one was cut off`);
    const leader = stage.ids.find((id) => stage.member(id).node.role === "leader") ?? one;
    stage.cut([leader]);
    stage.tick(stage.ids, 70);
    stage.settle();
    stage.heal();
    recover(stage, `${why} after the leader was cut off`);
  }
});

function* mixes(): Generator<
  readonly [Partial<RaftConfig>, Partial<RaftConfig>, Partial<RaftConfig>]
> {
  for (const a of modes) for (const b of modes) for (const c of modes) yield [a, b, c];
}

test("trap: openraft #1796: pre-vote and check-quorum can be turned on one member at a time", () => {
  for (const target of modes) {
    const stage = stageOf({ preVote: false, checkQuorum: false });
    stage.elect(one);
    // Some member is at a higher term with an older log while the switch happens.
    stage.cut([three]);
    stage.tick([three], 60);
    stage.propose(one, "a");
    stage.settle();
    for (const id of ids) {
      stage.restart(id, target);
      stage.settle();
    }
    stage.heal();
    recover(stage, JSON.stringify(target));
  }
});

test("trap: etcd #11483, #20418: a read is answered, lost or silent, and a fresh id works", () => {
  const stage = stageOf({});
  stage.elect(one);
  stage.act(two, ({ node }) => node.readIndex(1));
  stage.take(() => true);
  stage.act(two, ({ node }) => node.readIndex(2));
  stage.settle();
  const told = stage.tell();
  assert.ok(told.includes("2 read 2 at 1"), "the fresh id is answered");
  assert.ok(!told.some((line) => line.startsWith("2 read 1 ")), "its message died on the way");
  stage.tick([two], 20);
  assert.ok(stage.tell().includes("2 read 1 lost"), "with the leader goes the hope");
});

test("reads have bounds: more are lost at once, on both sides", () => {
  const stage = stageOf({});
  stage.elect(one);
  stage.cut([one]);
  for (let i = 0; i <= readsPendingMax; i++) stage.member(one).node.readIndex(i);
  stage.act(one, () => {});
  assert.ok(stage.tell().includes(`1 read ${readsPendingMax} lost`), "the last has no room");
  for (let i = 0; i <= readsForwardedMax; i++) stage.member(two).node.readIndex(i);
  stage.act(two, () => {});
  assert.ok(stage.tell().includes("2 read 0 lost"), "the oldest makes room");
});

test("proposals have a bound in bytes, and one that is larger than it still goes alone", () => {
  const stage = stageOf({ uncommittedBytesMax: 10 });
  assert.equal(stage.propose(one, "x"), "noLeader");
  stage.elect(one);
  assert.equal(stage.propose(one, "12345678901234567890"), "accepted");
  assert.equal(stage.propose(one, "x"), "overloaded");
  stage.settle();
  assert.equal(stage.propose(one, "12345"), "accepted");
  assert.equal(stage.propose(one, "12345"), "accepted");
  assert.equal(stage.propose(one, "1"), "overloaded");
  stage.settle();
  assert.equal(stage.applied(three).length, 3);
});

test("committed entries come in bounded portions until all are handed out", () => {
  const stage = stageOf({ committedBytesMax: 4 }, 1);
  stage.elect(one);
  stage.propose(one, "aaa", "bbb", "cccccccc", "d");
  assert.deepEqual(stage.applied(one), ["aaa", "bbb", "cccccccc", "d"]);
  const portions = stage.tell().filter((line) => line.includes("applies"));
  assert.equal(portions.length, 4);
});

test("a term at the end of numbers is refused, and one near it does not stop the count", () => {
  const stage = stageOf({});
  const heartbeat = (term: number) =>
    stage.act(one, ({ node }) =>
      node.step({
        kind: "heartbeat",
        from: two,
        to: one,
        term: Term(term),
        commit: LogIndex(0),
        readId: 0,
      }),
    );
  for (const term of [2 ** 53, termMax + 1, Number.NaN, -1, 1.5, Number.POSITIVE_INFINITY]) {
    heartbeat(term);
    assert.equal(stage.member(one).node.term, 0, `term ${term}`);
  }
  heartbeat(termMax);
  stage.tick([one], 30);
  assert.equal(stage.member(one).node.term, termMax);
});

test("an answer about more than the leader's log is ignored", () => {
  const stage = stageOf({});
  stage.elect(one);
  stage.propose(one, "a");
  stage.act(one, ({ node }) =>
    node.step({
      kind: "appendReply",
      from: two,
      to: one,
      term: Term(1),
      rejected: false,
      index: LogIndex(99),
      hintIndex: LogIndex(0),
      hintTerm: Term(0),
    }),
  );
  assert.equal(stage.member(one).node.status().commit, 1);
});

test("a second leader of one term is not believed, nor one that rewrites a commit", () => {
  const stage = stageOf({});
  stage.elect(one);
  stage.propose(one, "a");
  stage.settle();
  const forged = (from: MemberId, term: number) => ({
    kind: "append" as const,
    from,
    to: two,
    term: Term(term),
    prevIndex: LogIndex(1),
    prevTerm: Term(1),
    commit: LogIndex(2),
    entries: [{ index: LogIndex(2), term: Term(term), kind: 0 as const, data: Buffer.from("b") }],
  });
  stage.tick([one], 1);
  stage.settle();
  stage.act(two, ({ node }) => node.step(forged(three, 1)));
  stage.act(two, ({ node }) => node.step(forged(three, 7)));
  assert.deepEqual(stage.terms(two), [1, 1]);
  assert.deepEqual(stage.applied(two), ["a"]);
});

test("a snapshot shorter than the log it replaces leaves nothing durable behind it", () => {
  const stage = new Stage();
  // 4 entries of an old leader are on disk; the snapshot covers 2, of another history.
  stage.add(one, { voters: ids }, { terms: [1, 1, 1, 1] });
  const from = { from: two, to: one, term: Term(3) };
  const membership = { voters: ids, outgoing: [], learners: [] };
  const meta = { index: LogIndex(2), term: Term(2), membership };
  stage.act(one, ({ node }) => node.step({ kind: "snapshot", ...from, meta }));
  stage.hold(one);
  stage.act(one, ({ node }) =>
    node.step({
      kind: "append",
      ...from,
      prevIndex: LogIndex(2),
      prevTerm: Term(2),
      commit: LogIndex(3),
      entries: [{ index: LogIndex(3), term: Term(3), kind: 0, data: Buffer.from("new") }],
    }),
  );
  assert.deepEqual(stage.applied(one), [], "its entry is not on disk yet");
  stage.act(one, (member) => member.persist());
  assert.deepEqual(stage.applied(one), ["new"]);
});

test("trap: a member sees its own removal only in a snapshot (etcd #21610)", () => {
  const stage = new Stage({ preVote: true, checkQuorum: true });
  stage.add(one, { voters: ids });
  const from = { from: two, to: one, term: Term(3) };
  const membership = { voters: [two, three], outgoing: [], learners: [] };
  const meta = { index: LogIndex(9), term: Term(2), membership };
  stage.act(one, ({ node }) => node.step({ kind: "snapshot", ...from, meta }));
  const { node } = stage.member(one);
  assert.equal(node.status().commit, 9);
  assert.deepEqual(node.membership, membership);
  stage.tick([one], 100);
  stage.settle();
  assert.equal(node.role, "follower", "who was removed does not campaign");
});

test("trap: a learner is added again with an empty directory (etcd #21178)", () => {
  // Two knows of it at 4, its disk begins at 0: what it says is believed, and it is sent all again.
  const stage = stageOf({}, 2);
  stage.elect(one);
  const { node } = stage.member(one);
  stage.act(one, () => node.propose(["a", "b", "c"].map((text) => Buffer.from(text))));
  stage.settle();
  assert.equal(node.peers()[0]?.match, 4);
  const reply = { kind: "appendReply", from: two, to: one, term: node.term } as const;
  const hint = { hintIndex: LogIndex(0), hintTerm: Term(0) };
  stage.act(one, (member) =>
    member.node.step({ ...reply, rejected: true, index: LogIndex(4), ...hint }),
  );
  assert.equal(node.peers()[0]?.match, 0);
  stage.settle();
  assert.equal(node.peers()[0]?.match, 4, "it has everything again");
});

test("answers of strangers depose nobody", () => {
  const stage = stageOf({});
  stage.elect(one);
  for (const kind of ["heartbeatReply", "timeoutNow"] as const) {
    stage.act(one, ({ node }) =>
      node.step({ kind, from: MemberId(77n), to: one, term: Term(50), readId: 0 }),
    );
  }
  assert.equal(stage.member(one).node.role, "leader");
});

const membersOf = (stage: Stage, id: MemberId) => stage.member(id).node.latestMembership;

function change(stage: Stage, id: MemberId, what: MembershipChange): MembershipResult {
  let result: MembershipResult = "invalid";
  stage.act(id, ({ node }) => {
    result = node.proposeMembership(what);
  });
  return result;
}

test("trap: Ongaro 2015: no change of membership before an entry of the leader's term is committed", () => {
  // The scenario of the note: S1 leads four, appends a change alone and is cut off; S2 leads and
  // changes something else. If both could begin at once, their majorities would not meet.
  const stage = new Stage();
  const voters = [...ids, four];
  for (const id of voters) stage.add(id, { voters });
  stage.elect(one);
  stage.cut([one]);
  assert.equal(change(stage, one, { kind: "addVoter", id: five }), "accepted");
  assert.deepEqual(membersOf(stage, one).voters.length, 5, "in the log of one alone");
  stage.tick([two], 20);
  stage.deliver(({ kind }) => kind === "vote" || kind === "voteReply");
  stage.deliver(({ kind }) => kind === "vote" || kind === "voteReply");
  assert.equal(stage.member(two).node.role, "leader");
  assert.equal(stage.member(two).node.status().commit, 1, "its barrier is on its way");
  assert.equal(change(stage, two, { kind: "remove", id: one }), "busy");
  stage.settle();
  assert.equal(change(stage, two, { kind: "remove", id: one }), "accepted");
  assert.equal(change(stage, two, { kind: "remove", id: three }), "busy", "one at a time");
  stage.settle();
  stage.heal();
  stage.tick([one], 60);
  stage.tick([two], 1);
  stage.settle();
  for (const id of [two, three, four])
    assert.deepEqual(membersOf(stage, id).voters, [two, three, four]);
});

test("trap: etcd #7280, #11284, #12359, #7625: a change counts from the moment it is in the log", () => {
  const stage = stageOf({});
  stage.elect(one);
  stage.propose(one, "a");
  stage.settle();
  stage.cut([three]);
  change(stage, one, { kind: "addVoter", id: four });
  // Two holds the change, and does not know that it is committed: it is not applied there.
  stage.deliver(({ kind, to }) => kind === "append" && to === two);
  stage.take(() => true);
  assert.deepEqual(stage.member(two).node.membership.voters, ids, "applied");
  assert.deepEqual(membersOf(stage, two).voters, [...ids, four], "in force");
  stage.heal();
  stage.cut([one]);
  stage.add(four, { voters: [] });
  stage.act(two, ({ node }) => node.campaign());
  stage.deliver(({ to }) => to === three);
  stage.deliver(({ to }) => to === two);
  assert.equal(stage.member(two).node.role, "candidate", "two of four are no quorum");
  stage.settle();
  assert.equal(stage.member(two).node.role, "leader", "with the new member's vote they are");
});

test("trap: etcd #10998: a promoted learner that does not know of it yet must vote", () => {
  const stage = new Stage();
  const voters = [one, two];
  for (const id of ids) stage.add(id, { voters, learners: [three] });
  stage.elect(one);
  stage.cut([three]);
  change(stage, one, { kind: "promote", id: three });
  stage.settle();
  assert.equal(stage.member(one).node.status().commit, 2, "committed by two of three");
  stage.heal();
  stage.cut([one]);
  stage.take(() => true);
  assert.deepEqual(membersOf(stage, three).learners, [three], "it still believes that it learns");
  stage.act(two, ({ node }) => node.campaign());
  stage.settle();
  assert.equal(stage.member(two).node.role, "leader");
  assert.deepEqual(membersOf(stage, three).voters, ids, "now it knows");
});

test("trap: etcd #21178: a learner that comes back with an empty directory is filled again", () => {
  const stage = new Stage();
  const voters = [one, two];
  for (const id of ids) stage.add(id, { voters, learners: [three] });
  stage.elect(one);
  for (const text of ["a", "b", "c"]) stage.propose(one, text);
  stage.settle();
  assert.deepEqual(stage.applied(three), ["a", "b", "c"]);
  stage.wipe(three);
  // Also while it is removed and added again under the same id, which raft itself does not forbid.
  assert.equal(change(stage, one, { kind: "remove", id: three }), "accepted");
  stage.settle();
  assert.equal(change(stage, one, { kind: "addLearner", id: three }), "accepted");
  for (let i = 0; i < 5; i++) {
    stage.tick([one], 1);
    stage.settle();
  }
  assert.deepEqual(stage.applied(three), ["a", "b", "c"]);
  assert.deepEqual(membersOf(stage, three).learners, [three]);
});

test("trap: etcd #21610: a member that finds itself removed by a snapshot neither crashes nor campaigns", () => {
  const stage = stageOf({});
  stage.elect(one);
  const membership = { voters: [one, two], outgoing: [], learners: [] };
  const meta = { index: LogIndex(9), term: Term(1), membership };
  const from = { from: one, to: three, term: Term(1) };
  stage.act(three, ({ node }) => node.step({ kind: "snapshot", ...from, meta }));
  assert.deepEqual(membersOf(stage, three), membership);
  stage.act(three, ({ node }) => node.applied(LogIndex(9)));
  stage.tick([three], 100);
  assert.equal(stage.member(three).node.role, "follower");
  assert.equal(stage.member(three).node.term, 1);
});

test("trap: etcd #14370: a single voter acknowledges nothing that is not on its disk", () => {
  const stage = stageOf({}, 1);
  stage.hold(one);
  stage.act(one, ({ node }) => node.campaign());
  assert.equal(stage.member(one).node.role, "candidate", "its own vote is not on disk");
  stage.act(one, (member) => member.persist());
  assert.equal(stage.member(one).node.role, "leader");
  stage.act(one, (member) => member.persist());
  stage.propose(one, "a");
  assert.deepEqual(stage.applied(one), []);
  stage.act(one, (member) => member.persist());
  assert.deepEqual(stage.applied(one), ["a"]);
  // The same holds for the one change that it may commit alone although it is not alone any more.
  assert.equal(change(stage, one, { kind: "addVoter", id: two }), "accepted");
  assert.equal(stage.member(one).node.status().commit, 2);
  stage.act(one, (member) => member.persist());
  assert.equal(stage.member(one).node.status().commit, 3, "whoever added it can start it now");
  stage.propose(one, "b");
  stage.act(one, (member) => member.persist());
  assert.deepEqual(stage.applied(one), ["a"], "and nothing else without the second");
});
