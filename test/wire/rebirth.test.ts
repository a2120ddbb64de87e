// A voter may lose its disk before it has made known with which log it began, and everybody who met it may
// be restarted before it comes back: it must not vote again all the same.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { WebSocket } from "ws";
import { seedMembers } from "../../src/cluster/identity.ts";
import { handshakeHeaders, peerPath } from "../../src/transport/handshake.ts";
import { MemberProcesses } from "../support/memberProcesses.ts";

const waitMsMax = 60_000;
const retryMs = 50;
const token = "mesh-test";

/** Status of the answer to an upgrade; 101: it was let in. */
async function introduce(url: string, headers: Record<string, string>): Promise<number> {
  const endMs = performance.now() + waitMsMax;
  for (;;) {
    const status = await upgrade(url, headers);
    // Nobody listens yet, or it is starting.
    if (status !== 0 && status !== 503) return status;
    assert.ok(performance.now() < endMs, `${url} answers`);
    await wait(retryMs);
  }
}

function upgrade(url: string, headers: Record<string, string>): Promise<number> {
  const socket = new WebSocket(`${url}${peerPath}`, { headers });
  return new Promise((resolve) => {
    socket.on("error", () => resolve(0));
    socket.on("open", () => {
      resolve(101);
      socket.terminate();
    });
    socket.on("unexpected-response", (_request, response) => {
      resolve(response.statusCode ?? 0);
      socket.terminate();
    });
  });
}

test("a voter with another log is known although nobody remembers the first in memory", async () => {
  await using cluster = await MemberProcesses.unstarted(3);
  const seeds = cluster.names.map((name, i) => ({ name, peerUrls: [cluster.peerUrl(i)] }));
  const { clusterId, members } = seedMembers(seeds, token);
  const [one, , three] = members;
  assert.ok(one && three);
  const asThree = (birth: number) => handshakeHeaders({ clusterId, id: three.id, birth }, one.id);
  // Alone of three: nothing can be committed, so no birth is in any log.
  const start = () => cluster.spawn({ name: "m1", dataDir: cluster.dataDir("m1"), token });
  const known = three.id < one.id ? 101 : 403;
  const url = cluster.peerUrl(0);
  const first = start();
  assert.equal(await introduce(url, asThree(7)), known, "its first log");
  assert.equal(await introduce(url, asThree(8)), 409, "another one");
  await first.kill9();
  start();
  assert.equal(await introduce(url, asThree(8)), 409, "another one, after a restart");
  assert.equal(await introduce(url, asThree(7)), known, "its first log still");
});
