// Members on real threads and files whose logs are cut: who was away, or lost its disk, is given the state
// while writers go on, and ends up with the same.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Cluster, type ClusterOptions, type MemberHandle } from "../../src/quorlet.ts";
import { AckedLoad } from "../support/ackedLoad.ts";
import { KvClient } from "../support/kvClient.ts";
import { untilAnswered } from "../support/turns.ts";

const options: ClusterOptions = {
  members: 3,
  timing: { tickMs: 20, electionTicks: 25, heartbeatTicks: 1 },
  snapshotEntries: 12,
  catchUpEntries: 6,
};
/** An image of some chunks. */
const valueBytes = 16_384;

interface Scene {
  readonly cluster: Cluster;
  readonly leader: MemberHandle;
  readonly followers: readonly [MemberHandle, MemberHandle];
}

async function play(more: ClusterOptions, scene: (cast: Scene) => Promise<void>): Promise<void> {
  await using cluster = await Cluster.start({ ...options, ...more });
  const leader = cluster.members.find(({ role }) => role === "leader");
  const [one, two] = cluster.members.filter(({ name }) => name !== leader?.name);
  assert.ok(leader && one && two);
  await scene({ cluster, leader, followers: [one, two] });
}

async function onDisk(scene: (cast: Scene) => Promise<void>): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), "quorlet-snapshot-"));
  try {
    await play({ dataDir }, scene);
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** Writes one after the other, far beyond what the logs keep: each is an entry of its own. */
async function writeEntries(member: MemberHandle, count: number): Promise<void> {
  const client = new KvClient(member.endpoint);
  for (let i = 0; i < count; i++) await client.put(`bulk${i}`, `${i}`.padEnd(valueBytes, "."));
  client.close();
}

/** Asks the member itself, without the others, until it holds what they held. */
async function untilCaughtUp(member: MemberHandle, revision: number): Promise<void> {
  const client = new KvClient(member.endpoint);
  await untilAnswered(() => client.hash(revision), `${member.name} catches up`);
  client.close();
}

async function revisionOf(member: MemberHandle): Promise<number> {
  const client = new KvClient(member.endpoint);
  const revision = await client.revision();
  client.close();
  return revision;
}

/** Runs `act` while acknowledged writes go on through `members`; then all must agree. */
async function underLoad(
  { cluster }: Scene,
  members: readonly MemberHandle[],
  act: () => Promise<void>,
): Promise<void> {
  const load = new AckedLoad();
  let isOver = false;
  const writing = load.write(
    members.map(({ endpoint }) => endpoint),
    () => !isOver,
  );
  try {
    await act();
  } finally {
    isOver = true;
    await writing;
  }
  assert.ok(load.ackedCount > 0);
  await load.verify(cluster.members.map(({ endpoint }) => endpoint));
}

for (const { where, run } of [
  { where: "on disk", run: onDisk },
  {
    where: "in memory, where its store is lost with it",
    run: (s: (c: Scene) => Promise<void>) => play({}, s),
  },
]) {
  test(`a member that was away for longer than the log catches up under load, ${where}`, () =>
    run(async (scene) => {
      const { leader, followers } = scene;
      const [away, other] = followers;
      await writeEntries(leader, 30);
      await away.kill();
      await writeEntries(leader, 80);
      await underLoad(scene, [leader, other], async () => {
        const revision = await revisionOf(leader);
        await away.restart();
        await untilCaughtUp(away, revision);
      });
    }));
}

test("the leader is killed in the middle of a transfer: the next one sends anew", () =>
  onDisk(async (scene) => {
    const { leader, followers } = scene;
    const [away, other] = followers;
    await away.kill();
    await writeEntries(leader, 80);
    const revision = await revisionOf(leader);
    await away.restart();
    await leader.kill();
    await untilCaughtUp(away, revision);
    await leader.restart();
    await underLoad(scene, [other, away], () => untilCaughtUp(leader, revision));
  }));

test("the receiver is killed again and again while it is sent to", () =>
  onDisk(async (scene) => {
    const { leader, followers } = scene;
    const [away, other] = followers;
    await away.kill();
    await writeEntries(leader, 80);
    const revision = await revisionOf(leader);
    await underLoad(scene, [leader, other], async () => {
      for (let i = 0; i < 2; i++) {
        await away.restart();
        await away.kill();
      }
      await away.restart();
      await untilCaughtUp(away, revision);
    });
  }));
