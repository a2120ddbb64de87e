// Three members in one thread: puts through any of them, reads, a lost leader, a crash, equal states.
import assert from "node:assert/strict";
import test from "node:test";
import { errStopped } from "../../src/base/errors.ts";
import { LocalCluster } from "../support/localCluster.ts";
import { assertEqualStates, kindOf, put } from "./support.ts";

function started(seed: number): LocalCluster {
  const cluster = new LocalCluster(3, seed);
  cluster.tick(30);
  assert.equal(cluster.leader().status().role, "leader");
  return cluster;
}

test("a put through any member is answered and held by all", () => {
  const cluster = started(1);
  const results = cluster.ids.map((id) => put(cluster.member(id), `k${id}`, "v"));
  cluster.settle();
  const revisions = results.map(({ outcome }) => (outcome?.kind === "put" ? outcome.revision : 0));
  assert.deepEqual([...revisions].sort(), [2, 3, 4]);
  cluster.tick(1);
  assertEqualStates(cluster);
});

test("reads of a follower see every put that was answered before", () => {
  const cluster = started(2);
  const leader = cluster.leader();
  const follower = [...cluster.members.values()].find((member) => member !== leader);
  assert.ok(follower);
  put(leader, "k", "v");
  cluster.settle();
  let revision = 0;
  follower.readIndex({
    onReady: () => {
      revision = follower.state.revision;
    },
    onRefused: (error) => assert.fail(error),
  });
  cluster.settle();
  assert.equal(revision, 2);
});

test("a put sent to a leader that is cut off is answered by the next one, applied once", () => {
  const cluster = started(3);
  const leader = cluster.leader();
  const follower = [...cluster.members.values()].find((member) => member !== leader);
  assert.ok(follower);
  cluster.cut.add(leader.id);
  const result = put(follower, "k", "v");
  cluster.settle();
  assert.deepEqual(result, { outcome: undefined, error: undefined });
  cluster.tick(40);
  assert.equal(kindOf(result), "put");
  cluster.cut.clear();
  cluster.tick(5);
  assertEqualStates(cluster);
  assert.equal(cluster.leader().state.revision, 2, "proposed twice, applied once");
});

test("without a quorum a put waits for its time and is refused; it may still be applied later", () => {
  const cluster = started(4);
  const leader = cluster.leader();
  for (const id of cluster.ids) if (id !== leader.id) cluster.cut.add(id);
  const result = put(leader, "k", "v");
  cluster.settle();
  cluster.tick(69);
  assert.equal(kindOf(result), "waiting");
  cluster.tick(1);
  assert.match(kindOf(result), /^etcdserver: request timed out/);
});

test("a crashed member comes back with its data and catches up", () => {
  const cluster = started(5);
  const leader = cluster.leader();
  const victim = cluster.ids.find((id) => id !== leader.id);
  assert.ok(victim);
  for (let i = 0; i < 20; i++) put(leader, `a${i}`, "v");
  cluster.tick(2);
  cluster.crash(victim);
  for (let i = 0; i < 20; i++) put(leader, `b${i}`, "v");
  cluster.tick(2);
  cluster.start(victim);
  cluster.tick(5);
  assert.equal(cluster.member(victim).state.revision, 41);
  assertEqualStates(cluster);
});

test("all members crash and come back: nothing answered is lost", () => {
  const cluster = started(6);
  const results = Array.from({ length: 50 }, (_, i) => put(cluster.leader(), `k${i}`, "v"));
  cluster.settle();
  assert.ok(results.every(({ outcome }) => outcome?.kind === "put"));
  for (const id of cluster.ids) cluster.crash(id);
  for (const id of cluster.ids) cluster.start(id);
  cluster.tick(30);
  assert.equal(cluster.leader().state.revision, 51);
  assertEqualStates(cluster);
});

test("a stopped member refuses what waits and what comes", () => {
  const cluster = started(7);
  const member = cluster.leader();
  const waiting = put(member, "k", "v");
  member.handle({ kind: "stop" });
  assert.equal(waiting.error, errStopped);
  assert.equal(put(member, "k", "v").error, errStopped);
});

test("bytes that are no frame are dropped and counted", () => {
  const cluster = started(8);
  const member = cluster.leader();
  const from = cluster.ids.find((id) => id !== member.id);
  assert.ok(from);
  member.handle({ kind: "frame", from, bytes: Buffer.from("not a frame") });
  cluster.settle();
  assert.equal(member.badFrames, 1);
  assert.equal(member.status().role, "leader");
});
