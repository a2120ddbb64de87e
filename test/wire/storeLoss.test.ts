// Members on real threads and files whose store is lost or damaged when their log no longer reaches back
// to the beginning: the others build it again, and one that is alone says what it still has.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { MemberId } from "../../src/base/brand.ts";
import { Cluster, type ClusterOptions, type MemberHandle } from "../../src/quorlet.ts";
import { memberDirectory } from "../../src/storage/dataDir.ts";
import { AckedLoad } from "../support/ackedLoad.ts";
import { KvClient } from "../support/kvClient.ts";
import { logBase } from "../support/logBase.ts";
import { untilAnswered } from "../support/turns.ts";

const options: ClusterOptions = {
  timing: { tickMs: 20, electionTicks: 25, heartbeatTicks: 1 },
  snapshotEntries: 12,
  catchUpEntries: 6,
};

const patienceMs = 60_000;

async function withDataDir(act: (dataDir: string) => Promise<void>): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), "quorlet-loss-"));
  try {
    await act(dataDir);
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** Each write is an entry of its own, so that logs are cut. */
async function writeEntries(member: MemberHandle, count: number): Promise<void> {
  const client = new KvClient(member.endpoint);
  for (let i = 0; i < count; i++) await client.put(`key${i}`, `value ${i}`.padEnd(2000, "."));
  client.close();
}

/**
 * Has the member live and end, until its log no longer reaches back to the beginning: `live` writes so many
 * entries, twice as many each time, as a life must be long enough for its store, and returns its id.
 */
async function untilCut(
  dataDir: string,
  live: (count: number) => Promise<bigint>,
): Promise<string> {
  const endMs = performance.now() + patienceMs;
  for (let count = 60; ; count = Math.min(2 * count, 1_000)) {
    const id = await live(count);
    if ((await logBase(dataDir, id)) > 0) return memberDirectory(dataDir, MemberId(id));
    assert.ok(performance.now() < endMs, "the log is never cut");
  }
}

/** A member that is refilled serves nobody until it has all that it may have promised. */
async function untilServes(member: MemberHandle): Promise<void> {
  const client = new KvClient(member.endpoint);
  await untilAnswered(() => client.revision(), `${member.name} serves`);
  client.close();
}

const losses: Readonly<Record<string, (store: string) => void>> = {
  missing: (store) => rmSync(store, { recursive: true }),
  damaged: (store) => {
    const file = join(store, "data.mdb");
    const bytes = readFileSync(file);
    // No value of 2,000 bytes fits into a page beside these; the names of tables stay.
    for (let page = 2; page < bytes.length / 4096; page++)
      bytes.fill(0x5a, page * 4096 + 2000, page * 4096 + 2100);
    writeFileSync(file, bytes);
  },
};

for (const [name, lose] of Object.entries(losses)) {
  test(`a store that is ${name} is built again by the others`, () =>
    withDataDir(async (dataDir) => {
      await using cluster = await Cluster.start({ ...options, members: 3, dataDir });
      const { members } = cluster;
      const leader = members.find(({ role }) => role === "leader") ?? assert.fail();
      const [victim, other] = members.filter((member) => member !== leader);
      assert.ok(victim && other);
      let lives = 0;
      const folder = await untilCut(dataDir, async (count) => {
        // What a handle tells of its member is of the time when it was asked for.
        if (lives++ > 0) await victim.restart();
        await writeEntries(leader, count);
        // The others may have taken them while it was still starting.
        await untilServes(victim);
        await victim.kill();
        return victim.id;
      });
      lose(join(folder, "store"));
      const load = new AckedLoad();
      await load.write([leader.endpoint, other.endpoint], (acked) => acked < 60);
      await victim.restart();
      await untilServes(victim);
      await load.verify(cluster.members.map(({ endpoint }) => endpoint));
      const asides = readdirSync(folder).filter((each) => each.startsWith("store."));
      assert.deepEqual(asides, name === "damaged" ? ["store.damaged-1"] : []);
      // It votes again: the majority is it and one other.
      await leader.kill();
      await load.write([victim.endpoint, other.endpoint], (acked) => acked < 30);
      await load.verify([victim.endpoint, other.endpoint]);
      await leader.restart();
    }));

  test(`a member alone whose store is ${name} refuses, and says what there is`, () =>
    withDataDir(async (dataDir) => {
      const alone = { ...options, members: 1, dataDir };
      const folder = await untilCut(dataDir, async (count) => {
        await using cluster = await Cluster.start(alone);
        await writeEntries(cluster.member(0), count);
        return cluster.member(0).id;
      });
      lose(join(folder, "store"));
      const start = async (): Promise<void> => {
        await using cluster = await Cluster.start(alone);
        assert.fail(`${cluster.endpoints} serves without what was lost`);
      };
      const what = name === "damaged" ? "is damaged at page \\d+, offset \\d+: .*" : "is missing";
      await assert.rejects(start, {
        message: new RegExp(
          `the store \\S+data\\.mdb ${what}; the log is whole from entry \\d+ to \\d+`,
        ),
      });
    }));
}
