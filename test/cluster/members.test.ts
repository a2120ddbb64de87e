// Members of a cluster in this process that come and go: threads, data, names, restarts.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { MemberId } from "../../src/base/brand.ts";
import { parseMembers } from "../../src/cluster/joining.ts";
import { Cluster, EtcdError, type MemberNotice } from "../../src/quorlet.ts";
import { memberDirectory } from "../../src/storage/dataDir.ts";

const namesOf = (cluster: Cluster): string => cluster.members.map(({ name }) => name).join(" ");

test("from one to three and back to two, on disk, over a restart", async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), "quorlet-grow-"));
  t.after(() => rmSync(dataDir, { recursive: true, force: true }));
  const notices: MemberNotice[] = [];
  const onMember = (notice: MemberNotice): void => void notices.push(notice);
  const options = { dataDir, onMember };
  const first = await Cluster.start({ ...options, members: 1 });
  const client = first.client();
  await client.put("before", "1");
  const second = await first.addMember();
  const third = await first.addMember({ learner: true });
  assert.equal(namesOf(first), "m1 m2 m3");
  assert.equal((await client.put("after", "2")).header.revision, 3);
  const { members } = await client.memberList();
  assert.deepEqual(members.map(({ peerUrls, isLearner }) => `${peerUrls} ${isLearner}`).sort(), [
    "inproc://m1 false",
    "inproc://m2 false",
    "inproc://m3 true",
  ]);
  await assert.rejects(first.addMember({ learner: true }), (error: unknown) => {
    assert.ok(error instanceof EtcdError);
    assert.match(error.message, /too many learner members/);
    return true;
  });
  await first.removeMember(third.id);
  assert.equal(namesOf(first), "m1 m2");
  assert.ok(notices.some(({ name, kind }) => name === "m3" && kind === "removed"));
  await assert.rejects(third.restart(), { message: "m3 was removed from the cluster" });
  assert.ok(!notices.some(({ kind }) => kind === "failed"), "nobody tried to start it");
  await first.close();
  await assert.rejects(first.member(0).restart(), { message: "the cluster was closed" });
  await using again = await Cluster.start({ dataDir });
  assert.equal(namesOf(again), "m1 m2");
  assert.equal((await again.client().get("after"))?.modRevision, 3);
  const fresh = await again.addMember();
  assert.notEqual(fresh.name, third.name, "a name is not used twice");
  assert.notEqual(fresh.id, second.id);
  assert.ok(existsSync(memberDirectory(dataDir, MemberId(fresh.id))));
});

test("an answer about the members of another process is read whole or not at all", () => {
  const good = { clusterId: "a1", members: [{ id: "f", name: "", peerUrls: ["http://a:1"] }] };
  assert.equal(parseMembers(good)?.members[0]?.id, 15n);
  const rows: readonly unknown[] = [
    null,
    [],
    { ...good, clusterId: 7 },
    { ...good, clusterId: "x" },
    { ...good, members: [] },
    { ...good, members: [null] },
    { ...good, members: [{ id: "f", name: "n", peerUrls: [1] }] },
    { ...good, members: [{ id: "f".repeat(17), name: "n", peerUrls: [] }] },
    { ...good, members: [{ id: "f", name: 1, peerUrls: [] }] },
  ];
  for (const row of rows) assert.equal(parseMembers(row), undefined, JSON.stringify(row));
});

test("the policy of a cluster: lax changes, and learners that do not wait to be promoted", async () => {
  const changePolicy = { strict: false, promoteLearners: true };
  await using cluster = await Cluster.start({ changePolicy });
  await cluster.member(2).kill();
  const added = await cluster.addMember({ learner: true });
  const client = cluster.client();
  for (let isLearner = true; isLearner; ) {
    const { members } = await client.memberList();
    isLearner = members.find(({ id }) => id === added.id)?.isLearner ?? true;
  }
  client.close();
});
