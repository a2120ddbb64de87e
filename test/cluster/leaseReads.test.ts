// Reads that a leader answers by its lease: only where that was asked for.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Cluster } from "../../src/quorlet.ts";
import { KvClient } from "../support/kvClient.ts";

/** A lease longer than any test; the first leader is chosen without waiting for it. */
const timing = { tickMs: 20, electionTicks: 5_000, heartbeatTicks: 1 };
const foreverMs = 60_000;
/** Answers of the leader that need nobody else, meanwhile. */
const roundTrips = 20;

interface Answer {
  /** Undefined: none came while the others stood still. */
  alone: string | undefined;
  /** When they went on. */
  healed: string | undefined;
}

/** What a leader answers to a linearizable read while all others stand still. */
async function askAlone(options: { leaseReads?: boolean }): Promise<Answer> {
  await using cluster = await Cluster.start({ members: 3, timing, ...options });
  const leader = cluster.members.find(({ role }) => role === "leader");
  assert.ok(leader, "one of them leads");
  const client = new KvClient(leader.endpoint);
  try {
    // The put is committed: a majority has answered this leader, as a lease needs it.
    await client.put("k", "v");
    await client.get("k");
    for (const { name } of cluster.members) {
      if (name !== leader.name) cluster.faults.pause(name, foreverMs);
    }
    const answer: Answer = { alone: undefined, healed: undefined };
    const read = client.get("k").then((pair) => pair?.value);
    if (options.leaseReads) answer.alone = await read;
    else {
      void read.then((value) => {
        answer.alone = value;
      });
      for (let i = 0; i < roundTrips; i++) assert.ok(await client.isLeader());
      const { alone } = answer;
      cluster.faults.mend();
      answer.healed = await read;
      answer.alone = alone;
    }
    return answer;
  } finally {
    client.close();
  }
}

test("a leader that hears nobody answers reads by its lease", async () => {
  assert.deepEqual(await askAlone({ leaseReads: true }), { alone: "v", healed: undefined });
});

test("without the option each read is confirmed by a quorum", async () => {
  assert.deepEqual(await askAlone({}), { alone: undefined, healed: "v" });
});
