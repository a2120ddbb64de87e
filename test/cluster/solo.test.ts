// What a process of one member was told reaches the thread that has to act by it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemberId } from "../../src/base/brand.ts";
import { type SoloOptions, threadDataOf } from "../../src/cluster/solo.ts";
import { defaultTiming } from "../../src/member/events.ts";

const self = { name: "n1", id: MemberId(7n), peerUrls: ["http://127.0.0.1:1"] };
const plain: SoloOptions = {
  ...{ self, seed: { clusterId: 9n, members: [self] }, dataDir: "nowhere" },
  listenPeers: [{ host: "127.0.0.1", port: 1, isTls: false }],
  listenClient: { host: "127.0.0.1", port: 2 },
};
const always = {
  ...{ name: "n1", id: 7n, clusterId: 9n, listen: plain.listenClient },
  mesh: { listen: plain.listenPeers, urls: self.peerUrls },
};

test("a member's thread is told how it is to answer, compact and keep time", () => {
  const timing = { tickMs: 20, electionTicks: 50, heartbeatTicks: 5 };
  const door = { hostWhitelist: ["example.org"] };
  const changePolicy = { strict: false, learnersMax: 3, promoteLearners: true };
  const told = { timing, door, changePolicy, leaseReads: true, watchProgressMs: 5 } as const;
  const more = { ...told, metrics: "extensive", logLevel: "warn" } as const;
  const bounds = { snapshotEntries: 11, catchUpEntries: 4 };
  assert.deepEqual(threadDataOf({ ...plain, ...more, ...bounds, peerTls: "auto" }), {
    ...{ ...always, ...more, compaction: bounds },
    mesh: { ...always.mesh, tls: "auto" },
  });
});

test("what it was not told is as etcd has it, and reads ask a quorum", () => {
  assert.deepEqual(threadDataOf(plain), {
    ...{ ...always, timing: defaultTiming, leaseReads: false, compaction: {}, logLevel: "silent" },
  });
});
