// Members that come and go while a local cluster works: through leaders and followers, once, in order.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { MemberId } from "../../src/base/brand.ts";
import { changesWaitingMax } from "../../src/member/changes.ts";
import type { Member } from "../../src/member/member.ts";
import { transfersMax } from "../../src/member/transfers.ts";
import type { LocalCluster, LocalOptions } from "../support/localCluster.ts";
import {
  addLearner,
  addVoter,
  change,
  followerOf,
  listOf,
  memberId,
  put,
  started,
  transfer,
} from "./changeSupport.ts";

function assertLists(cluster: LocalCluster, want: string): void {
  for (const member of cluster.members.values()) {
    assert.equal(listOf(member.members()), want, `at m${member.id}`);
  }
}

function assertEqualStates(cluster: LocalCluster): void {
  const states = [...cluster.members.values()].map((member) => {
    let found = "";
    member.hashKv(0, {
      onHash: ({ hash, revision }) => {
        found = `${hash} at ${revision}`;
      },
      onRefused: (error) => assert.fail(error),
    });
    cluster.settle();
    return found;
  });
  assert.equal(new Set(states).size, 1, states.join(", "));
}

/** Adds, starts and settles a voter. */
function grow(cluster: LocalCluster, id: number, through: Member): void {
  const result = change(through, addVoter(id));
  cluster.settle();
  assert.equal(result.text, "done", `m${id} is added`);
  cluster.join(memberId(id));
  cluster.tick(30);
}

function remove(cluster: LocalCluster, id: MemberId, through: Member): void {
  const result = change(through, { kind: "remove", id });
  cluster.settle();
  assert.equal(result.text, "done", `m${id} is removed`);
  cluster.tick(1);
  assert.deepEqual(cluster.removed.splice(0), [id], "it is told");
  cluster.members.delete(id);
  cluster.ids.splice(cluster.ids.indexOf(id), 1);
}

suite("growing and shrinking", () => {
  test("from one to five and back to one, with a put between any two steps", () => {
    const cluster = started(1, 1);
    assertLists(cluster, "m1");
    let key = 0;
    const write = (): void => {
      const result = put(cluster.leader(), `k${key++}`);
      cluster.tick(1);
      assert.equal(result.text, "done");
    };
    write();
    for (const id of [2, 3, 4, 5]) {
      grow(cluster, id, id % 2 === 0 ? cluster.leader() : followerOf(cluster));
      write();
    }
    assertLists(cluster, "m1 m2 m3 m4 m5");
    assertEqualStates(cluster);
    for (const id of [1, 2, 3, 4].map(memberId)) {
      remove(cluster, id, cluster.member(memberId(5)));
      cluster.tick(40);
      write();
    }
    assertLists(cluster, "m5");
    assert.equal(cluster.leader().state.revision, 1 + key);
  });

  test("one voter alone may be joined by a second that has not started, and waits for it then", () => {
    const cluster = started(1, 2);
    const leader = cluster.leader();
    const added = change(leader, addVoter(2));
    cluster.settle();
    assert.equal(added.text, "done", "whoever added it can start it only now");
    const waits = put(leader, "k");
    cluster.settle();
    assert.equal(waits.text, "waiting");
    const third = change(leader, addVoter(3));
    cluster.settle();
    assert.match(third.text, /not enough started members/, "one of three could do nothing");
    cluster.join(memberId(2));
    cluster.tick(40);
    assert.equal(waits.text, "done");
    assertLists(cluster, "m1 m2");
  });

  test("a leader that removes itself answers, and another one takes over", () => {
    const cluster = started(3, 3);
    const leader = cluster.leader();
    const result = change(leader, { kind: "remove", id: leader.id });
    cluster.settle();
    assert.equal(result.text, "done");
    assert.deepEqual(cluster.removed, [leader.id]);
    assert.match(put(leader, "k").text, /server stopped/);
    cluster.members.delete(leader.id);
    cluster.tick(40);
    const written = put(cluster.leader(), "k");
    cluster.settle();
    assert.equal(written.text, "done");
    assert.equal(cluster.leader().members().length, 2);
  });

  test("a removed member that comes back from its disk knows it at once", () => {
    const cluster = started(3, 4);
    const victim = followerOf(cluster).id;
    change(cluster.leader(), { kind: "remove", id: victim });
    cluster.tick(2);
    assert.deepEqual(cluster.removed.splice(0), [victim]);
    cluster.crash(victim);
    cluster.start(victim);
    cluster.tick(3);
    assert.deepEqual(cluster.removed, [victim]);
  });

  test("a restart from disk finds the members that were applied, without the log's help", () => {
    const cluster = started(3, 5);
    grow(cluster, 4, cluster.leader());
    for (const id of cluster.ids) cluster.crash(id);
    for (const id of cluster.ids) cluster.start(id);
    cluster.tick(40);
    assertLists(cluster, "m1 m2 m3 m4");
    remove(cluster, memberId(4), cluster.leader());
    assertLists(cluster, "m1 m2 m3");
  });
});

suite("learners", () => {
  test("one learns without a vote, is promoted when it has caught up, and votes then", () => {
    const cluster = started(3, 6);
    for (let i = 0; i < 50; i++) put(cluster.leader(), `k${i}`);
    cluster.tick(2);
    const added = change(followerOf(cluster), addLearner(4));
    cluster.settle();
    assert.equal(added.text, "done");
    assertLists(cluster, "m1 m2 m3 (4)*");
    const early = change(cluster.leader(), { kind: "promote", id: memberId(4) });
    cluster.settle();
    assert.match(early.text, /in sync with leader/);
    cluster.join(memberId(4));
    cluster.tick(5);
    assert.ok(cluster.member(memberId(4)).isLearner);
    assert.equal(cluster.member(memberId(4)).status().isLearner, true);
    assertEqualStates(cluster);
    const promoted = change(followerOf(cluster), { kind: "promote", id: memberId(4) });
    cluster.settle();
    assert.equal(promoted.text, "done");
    cluster.tick(1);
    assertLists(cluster, "m1 m2 m3 m4");
    assert.equal(cluster.member(memberId(4)).isLearner, false);
    const again = change(followerOf(cluster), { kind: "promote", id: memberId(4) });
    cluster.settle();
    assert.match(again.text, /can only promote a learner member$/);
    // With its vote two of four may fail to reach: three are a quorum, and it is one of them.
    cluster.cut.add(followerOf(cluster).id);
    const written = put(cluster.leader(), "k");
    cluster.tick(1);
    assert.equal(written.text, "done");
  });

  test("as many as the policy says, one by itself", () => {
    const cluster = started(3, 7);
    for (const want of ["done", "too many learner members in cluster"]) {
      const id = want === "done" ? 4 : 5;
      const result = change(cluster.leader(), addLearner(id));
      cluster.settle();
      assert.equal(result.text, want);
    }
    const two = started(3, 8, { changePolicy: { learnersMax: 2 } });
    for (const id of [4, 5]) {
      const result = change(two.leader(), addLearner(id));
      two.settle();
      assert.equal(result.text, "done");
    }
  });

  test("they become voters by themselves where the policy says so", () => {
    const cluster = started(3, 9, { changePolicy: { promoteLearners: true } });
    change(cluster.leader(), addLearner(4));
    cluster.tick(20);
    assertLists(cluster, "m1 m2 m3 (4)*");
    cluster.join(memberId(4));
    cluster.tick(5);
    assertLists(cluster, "m1 m2 m3 m4");
  });

  test("a learner never leads, whatever happens to the voters", () => {
    const cluster = started(2, 10);
    change(cluster.leader(), addLearner(3));
    cluster.settle();
    cluster.join(memberId(3));
    cluster.tick(5);
    assert.equal(transfer(cluster.leader(), memberId(3)).text, "bad leader transferee");
    for (const id of [1, 2].map(memberId)) cluster.cut.add(id);
    cluster.tick(100);
    assert.equal(cluster.member(memberId(3)).status().role, "follower");
    assert.equal(
      cluster.member(memberId(3)).status().term,
      cluster.member(memberId(1)).status().term,
    );
  });
});

const lax: LocalOptions = { changePolicy: { strict: false } };

test("who told of a log is held to it, from the first time on", () => {
  const cluster = started(3, 27);
  const { roster } = cluster.leader();
  const newcomer = memberId(4);
  assert.equal(roster.standingOf(newcomer, 7), "stranger");
  change(cluster.leader(), addVoter(4));
  cluster.settle();
  assert.equal(roster.standingOf(newcomer, 0), "member", "it does not say");
  assert.equal(roster.standingOf(newcomer, 4), "member");
  assert.equal(
    roster.standingOf(newcomer, 5),
    "reborn",
    "its directory was emptied before it published",
  );
  cluster.join(newcomer);
  cluster.tick(30);
  assertLists(cluster, "m1 m2 m3 m4");
  assert.equal(roster.standingOf(newcomer, 4), "member", "now the log says so");
  assert.equal(roster.standingOf(newcomer, 5), "reborn");
});

suite("requests on their way", () => {
  test("a follower's request is made once although the leader is lost in the middle", () => {
    const cluster = started(5, 11, lax);
    const leader = cluster.leader();
    const follower = followerOf(cluster);
    cluster.cut.add(leader.id);
    const result = change(follower, addVoter(6));
    cluster.settle();
    assert.equal(result.text, "waiting");
    cluster.tick(40);
    assert.equal(result.text, "done");
    cluster.cut.clear();
    cluster.tick(5);
    assertLists(cluster, "m1 m2 m3 m4 m5 (6)");
  });

  test("one that a lost leader had put into its log alone is made by the next one, once", () => {
    const cluster = started(3, 12, lax);
    const leader = cluster.leader();
    const others = cluster.ids.filter((id) => id !== leader.id);
    for (const id of others) cluster.cut.add(id);
    const result = change(leader, addLearner(4));
    cluster.settle();
    assert.equal(result.text, "waiting", "it is in the log of one");
    cluster.cut.clear();
    cluster.cut.add(leader.id);
    cluster.tick(40);
    const other = change(cluster.leader(), addLearner(5));
    cluster.settle();
    assert.equal(other.text, "done");
    cluster.cut.clear();
    cluster.tick(20);
    assert.match(result.text, /too many learner/, "asked again, and judged by what is there now");
    assertLists(cluster, "m1 m2 m3 (5)*");
  });

  test("without a leader it waits for its time", () => {
    const cluster = started(3, 13);
    const leader = cluster.leader();
    for (const id of cluster.ids) if (id !== leader.id) cluster.cut.add(id);
    const result = change(leader, addVoter(4));
    cluster.tick(69);
    assert.equal(result.text, "waiting");
    cluster.tick(1);
    assert.match(result.text, /^request timed out/);
  });

  test("they wait in order, and no more than there is room for", () => {
    const cluster = started(3, 14, lax);
    const follower = followerOf(cluster);
    const results = Array.from({ length: changesWaitingMax + 1 }, (_, i) =>
      change(follower, i % 2 === 0 ? addVoter(10 + i) : { kind: "remove", id: memberId(9 + i) }),
    );
    assert.equal(results.pop()?.text, "too many requests");
    cluster.tick(60);
    assert.deepEqual(new Set(results.map(({ text }) => text)), new Set(["done"]));
    assertLists(cluster, "m1 m2 m3");
  });

  test("a stopped member refuses what waits and what comes", () => {
    const cluster = started(3, 15);
    const member = cluster.leader();
    const waiting = change(member, addVoter(4));
    const moving = transfer(member, followerOf(cluster).id);
    member.handle({ kind: "stop" });
    for (const { text } of [waiting, moving, change(member, addVoter(5))]) {
      assert.equal(text, "server stopped");
    }
    assert.equal(transfer(member, memberId(1)).text, "server stopped");
  });

  test("bytes that are no request are counted, and strangers are not heard", () => {
    const cluster = started(3, 16);
    const member = cluster.leader();
    const frame = Buffer.of(1, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9);
    member.handle({ kind: "frame", from: followerOf(cluster).id, bytes: frame });
    assert.equal(member.badFrames, 1);
  });
});

suite("handing leadership over", () => {
  test("to a follower, under load, with nothing lost", () => {
    const cluster = started(3, 17);
    const results: { text: string }[] = [];
    for (let round = 0; round < 6; round++) {
      const leader = cluster.leader();
      const to = followerOf(cluster).id;
      for (const id of cluster.ids) results.push(put(cluster.member(id), `r${round}m${id}`));
      const moved = transfer(leader, to);
      for (const id of cluster.ids) results.push(put(cluster.member(id), `s${round}m${id}`));
      cluster.settle();
      assert.equal(moved.text, "done");
      assert.equal(cluster.leader().id, to);
    }
    cluster.tick(30);
    assert.deepEqual(new Set(results.map(({ text }) => text)), new Set(["done"]));
    assertEqualStates(cluster);
  });

  test("by a member that is about to stop, to whoever holds most, without a tick of waiting", () => {
    const cluster = started(3, 23);
    const leader = cluster.leader();
    const behind = followerOf(cluster).id;
    cluster.cut.add(behind);
    for (let i = 0; i < 3; i++) put(leader, `k${i}`);
    cluster.settle();
    cluster.cut.clear();
    const waiting = put(leader, "under way");
    const told: string[] = [];
    leader.handOver(() => told.push("done"));
    cluster.settle();
    assert.deepEqual(told, ["done"]);
    assert.notEqual(cluster.leader().id, leader.id);
    assert.notEqual(cluster.leader().id, behind);
    assert.equal(waiting.text, "done", "the next leader answers what the old one was asked");
    assert.ok(leader.isIdle);
    followerOf(cluster).handOver(() => told.push("a follower has nothing to hand over"));
    assert.equal(told.length, 2);
  });

  test("a leader that is alone, or the only one up, does not wait for anybody to take over", () => {
    let count = 0;
    started(1, 24)
      .leader()
      .handOver(() => count++);
    assert.equal(count, 1);
    const cluster = started(3, 25);
    const leader = cluster.leader();
    for (const id of cluster.ids) if (id !== leader.id) cluster.cut.add(id);
    cluster.tick(11);
    leader.handOver(() => count++);
    assert.equal(count, 2);
  });

  test("a leader that removes itself leaves a successor, at once", () => {
    const cluster = started(3, 26);
    const leader = cluster.leader();
    const result = change(leader, { kind: "remove", id: leader.id });
    const before = cluster.nowMs;
    cluster.settle();
    assert.equal(result.text, "done");
    assert.equal(cluster.nowMs, before, "no time passed");
    cluster.members.delete(leader.id);
    assert.notEqual(cluster.leader().id, leader.id);
  });

  test("as etcd refuses: by a follower, to a stranger; to itself it is done", () => {
    const cluster = started(3, 18);
    const leader = cluster.leader();
    assert.equal(transfer(followerOf(cluster), leader.id).text, "not leader");
    assert.equal(transfer(leader, memberId(77)).text, "bad leader transferee");
    assert.equal(transfer(leader, leader.id).text, "done");
  });

  test("to one that is gone, until the time is over; there is a bound to those that wait", () => {
    const cluster = started(3, 19);
    const leader = cluster.leader();
    const to = followerOf(cluster).id;
    cluster.cut.add(to);
    const results = Array.from({ length: transfersMax }, () => transfer(leader, to));
    assert.equal(transfer(leader, to).text, "too many requests");
    cluster.tick(69);
    assert.equal(results[0]?.text, "waiting");
    const written = put(leader, "k");
    cluster.tick(1);
    assert.equal(results[0]?.text, "request timed out, leader transfer took too long");
    cluster.tick(30);
    assert.equal(written.text, "done", "the leader leads on");
  });
});
