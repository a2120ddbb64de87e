// The last resort: one member goes on without the others, with everything that its log holds.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { MemberId } from "../../src/base/brand.ts";
import { NotForcedError } from "../../src/member/forceAlone.ts";
import { LocalCluster } from "../support/localCluster.ts";
import {
  addLearner,
  addVoter,
  change,
  followerOf,
  listOf,
  memberId,
  put,
  started,
} from "./changeSupport.ts";

/** All are gone; `id` comes back alone. */
function force(cluster: LocalCluster, id: MemberId): void {
  for (const other of cluster.ids) cluster.crash(other);
  cluster.start(id, { forceAlone: true });
  cluster.tick(30);
}

function assertAlone(cluster: LocalCluster, id: MemberId): void {
  const member = cluster.member(id);
  assert.equal(member.status().role, "leader");
  assert.equal(listOf(member.members()), `m${id}`);
  const result = put(member, "after");
  cluster.settle();
  assert.equal(result.text, "done");
}

test("a follower goes on with all that was acknowledged, and the others are removed for good", () => {
  const cluster = started(3, 1);
  const { id } = followerOf(cluster);
  const results = Array.from({ length: 5 }, (_, i) => put(cluster.leader(), `k${i}`));
  // It holds the entries and has not heard yet that they are committed.
  cluster.settle();
  assert.deepEqual(new Set(results.map(({ text }) => text)), new Set(["done"]));
  const before = cluster.member(id).status().revision;
  force(cluster, id);
  assertAlone(cluster, id);
  assert.equal(cluster.member(id).status().revision, before + 1);
  for (const other of cluster.ids.filter((one) => one !== id)) {
    assert.equal(cluster.member(id).roster.standingOf(other, 0), "removed");
  }
});

test("so does a learner, and one in whose log a change was on its way", () => {
  const cluster = started(3, 2);
  change(cluster.leader(), addLearner(4));
  cluster.settle();
  cluster.join(memberId(4));
  cluster.tick(10);
  force(cluster, memberId(4));
  assertAlone(cluster, memberId(4));
  const other = started(3, 3);
  const leader = other.leader();
  for (const id of other.ids) if (id !== leader.id) other.cut.add(id);
  change(leader, addVoter(5));
  other.settle();
  other.cut.clear();
  force(other, leader.id);
  assertAlone(other, leader.id);
});

test("it grows again, and a later life that is forced once more changes nothing where nobody is", () => {
  const cluster = started(2, 4);
  const id = memberId(1);
  force(cluster, id);
  const { term } = cluster.member(id).status();
  cluster.crash(id);
  cluster.start(id, { forceAlone: true });
  cluster.tick(30);
  assertAlone(cluster, id);
  assert.equal(cluster.member(id).status().term, term + 1, "one election, no forced term");
  change(cluster.member(id), addVoter(7));
  cluster.settle();
  cluster.join(memberId(7));
  cluster.tick(30);
  for (const one of [id, memberId(7)]) {
    assert.equal(listOf(cluster.member(one).members()), "m1 m7");
  }
});

test("a cluster that never began cannot be forced", () => {
  const cluster = new LocalCluster(3, 5);
  for (const id of cluster.ids) cluster.crash(id);
  const run = (): unknown => cluster.start(memberId(1), { forceAlone: true });
  assert.throws(
    run,
    (error) => error instanceof NotForcedError && /never begun/.test(error.message),
  );
});
