// A member's thread ends, whatever goes wrong on its way out.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { ThreadGate } from "../../src/base/threadGate.ts";
import type { MemberThreadData } from "../../src/cluster/protocol.ts";
import { defaultTiming } from "../../src/member/events.ts";
import { runnable } from "../support/paths.ts";

test("a door that cannot be closed does not keep the thread of a member that crashed", async () => {
  const data: MemberThreadData = {
    ...{ name: "m1", id: 1n, clusterId: 9n, listen: { host: "127.0.0.1", port: 0 } },
    ...{ timing: defaultTiming, leaseReads: false, logLevel: "silent", sharedFiles: new Map() },
    gate: new ThreadGate().cell,
  };
  const worker = new Worker(runnable(new URL("./leaveWorker.mjs", import.meta.url)), {
    workerData: data,
  });
  const errors: unknown[] = [];
  worker.on("error", (error) => errors.push(error));
  const [code] = await once(worker, "exit");
  assert.deepEqual(errors, []);
  assert.equal(code, 1);
});
