// Known traps about membership that show in a whole member: one source of truth, whatever happens.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../src/base/prng.ts";
import { LocalCluster } from "../support/localCluster.ts";
import { addLearner, addVoter, change, listOf, memberId, put } from "./changeSupport.ts";

const stepCount = 40;

for (const seed of [1, 2, 3, 4]) {
  test(`trap: etcd #20967: every member lists what raft counts by, at any time (seed ${seed})`, () => {
    const random = new Prng(seed);
    const cluster = new LocalCluster(3, seed, { changePolicy: { learnersMax: 3 } });
    cluster.tick(30);
    let nextId = 4;
    const isPresent = (id: number): boolean => cluster.members.has(memberId(id));
    for (let step = 0; step < stepCount; step++) {
      const alive = [...cluster.members.values()];
      const asked = alive[random.integer(alive.length)] ?? assert.fail("someone lives");
      const target = 1 + random.integer(nextId - 1);
      switch (random.integer(5)) {
        case 0:
          change(asked, random.integer(2) === 0 ? addVoter(nextId) : addLearner(nextId));
          cluster.tick(1 + random.integer(12));
          cluster.join(memberId(nextId++));
          break;
        case 1:
          change(asked, { kind: "remove", id: memberId(target) });
          break;
        case 2:
          change(asked, { kind: "promote", id: memberId(target) });
          break;
        case 3:
          if (!isPresent(target)) break;
          cluster.crash(memberId(target));
          cluster.tick(random.integer(20));
          cluster.start(memberId(target));
          break;
        default:
          put(asked, `k${step}`);
      }
      cluster.tick(random.integer(15));
      // The member itself asserts that list and configuration agree; it would have failed.
      assert.deepEqual(cluster.faults, []);
      for (const id of cluster.removed.splice(0)) {
        cluster.members.delete(id);
        cluster.ids.splice(cluster.ids.indexOf(id), 1);
      }
    }
    cluster.tick(120);
    const lists = new Set<string>();
    const leader = cluster.leader();
    for (const { id } of leader.members()) {
      const member = cluster.members.get(id);
      if (member !== undefined) lists.add(listOf(member.members()));
    }
    assert.equal(lists.size, 1, [...lists].join(" | "));
    const written = put(leader, "last");
    cluster.tick(2);
    assert.equal(written.text, "done");
  });
}

test("trap: etcd #21610: a member that was away when it was removed disturbs nobody", () => {
  const cluster = new LocalCluster(3, 9, {
    compaction: { snapshotEntries: 4, catchUpEntries: 1 },
  });
  cluster.tick(30);
  const leader = cluster.leader();
  const victim =
    cluster.ids.find((id) => id !== leader.id) ?? assert.fail("three are more than one");
  cluster.cut.add(victim);
  cluster.tick(15);
  const removed = change(leader, { kind: "remove", id: victim });
  cluster.tick(2);
  assert.equal(removed.text, "done");
  for (let i = 0; i < 30; i++) put(leader, `k${i}`);
  cluster.tick(20);
  cluster.cut.clear();
  cluster.tick(60);
  assert.deepEqual(cluster.faults, []);
  // Nobody talks to it as a peer any more; the handshake is what tells it (transport/handshake.ts).
  assert.equal(leader.roster.standingOf(victim, 0), "removed");
  assert.equal(cluster.member(victim).status().term, leader.status().term, "it asks in vain");
  assert.equal(cluster.leader().id, leader.id, "and it disturbs nobody");
});
