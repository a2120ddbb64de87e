// What a disk does to a leader that waits for it, and what a restart takes from log and store.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LogIndex, MemberId } from "../../src/base/brand.ts";
import { Stage } from "./stage.ts";

const ids = [1n, 2n, 3n].map(MemberId);
const [one = MemberId(0n), two = MemberId(0n)] = ids;
test("a leader whose disk stalls hands over within an election timeout", () => {
  const stage = new Stage({ preVote: true, checkQuorum: true });
  for (const id of ids) stage.add(id, { voters: ids });
  stage.elect(one);
  stage.hold(one);
  stage.propose(one, "a");
  stage.settle();
  for (let i = 0; i < 10; i++) {
    stage.tick(stage.ids, 1);
    stage.settle();
  }
  assert.notEqual(stage.member(one).node.role, "leader");
  const leaders = ids.filter((id) => stage.member(id).node.role === "leader");
  assert.equal(leaders.length, 1, "another leads at once");
  assert.ok(!leaders.includes(one), "not the stalled one");
  stage.tick([one], 100);
  assert.equal(stage.member(one).node.role, "follower", "it does not campaign");
});
test("a change before the applied index survives a restart, in the log and as told", () => {
  const stage = new Stage({});
  for (const id of ids) stage.add(id, { voters: ids });
  stage.elect(one);
  stage.settle();
  stage.act(one, ({ node }) =>
    assert.equal(node.proposeMembership({ kind: "addLearner", id: MemberId(9n) }), "accepted"),
  );
  stage.settle();
  stage.propose(one, "x");
  stage.settle();
  const index = stage.member(two).node.latestMembershipIndex;
  const membership = stage.member(two).node.membership;
  assert.deepEqual(membership.learners, [9n]);
  assert.deepEqual(
    stage.member(two).node.membershipAt(LogIndex(index - 1))?.learners,
    [],
    "of the past",
  );
  const applied = LogIndex(index + 1);
  stage.restart(two, { applied });
  assert.deepEqual(stage.member(two).node.membership.learners, [9n]);
  stage.restart(two, { applied, configurations: [{ index, membership }] });
  assert.deepEqual(stage.member(two).node.membership.learners, [9n]);
});
