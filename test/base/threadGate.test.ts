// The gate between a thread and whoever may end it.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { ThreadGate } from "../../src/base/threadGate.ts";

test("a gate stays open for the other side only while nothing is under way", () => {
  const gate = new ThreadGate();
  gate.enter();
  assert.equal(gate.close(), false, "something is under way");
  gate.enter();
  gate.leave();
  assert.equal(gate.close(), false, "one of two is done");
  gate.leave();
  assert.equal(gate.close(), true);
  assert.equal(gate.close(), true, "it stays closed");
});

test("a thread that comes to a closed gate stands still, and can be ended", async () => {
  const gate = new ThreadGate();
  assert.equal(gate.close(), true);
  const module = new URL("../../src/base/threadGate", import.meta.url).href;
  const ending = import.meta.url.endsWith(".js") ? ".js" : ".ts";
  const text = `
    const { parentPort, workerData } = require("node:worker_threads");
    import(${JSON.stringify(module + ending)}).then(({ ThreadGate }) => {
      parentPort.postMessage("at the gate");
      new ThreadGate(workerData).enter();
      parentPort.postMessage("behind it");
    });`;
  const worker = new Worker(text, { eval: true, workerData: gate.cell });
  const heard: unknown[] = [];
  worker.on("message", (message) => heard.push(message));
  await once(worker, "message");
  assert.equal(await worker.terminate(), 1);
  assert.deepEqual(heard, ["at the gate"]);
});
