// The micro benchmarks of this room still run.
import assert from "node:assert/strict";
import os from "node:os";
import { test } from "node:test";
import { runEngineBench } from "../../bench/micro/engine.ts";
import { runRaftLogBench } from "../../bench/micro/raftLog.ts";
import { runStartBench } from "../../bench/micro/start.ts";

test("the log benchmark runs", async () => {
  const lines: string[] = [];
  await runRaftLogBench(2, os.tmpdir(), (line) => lines.push(line));
  assert.equal(lines.length, 16, lines.join("\n"));
});

test("the engine benchmark runs", async () => {
  const lines: string[] = [];
  await runEngineBench(50, os.tmpdir(), (line) => lines.push(line));
  assert.equal(lines.length, 4, lines.join("\n"));
});

test("the benchmark of a start runs", async () => {
  const lines: string[] = [];
  await runStartBench(1500, os.tmpdir(), (line) => lines.push(line));
  assert.equal(lines.length, 4, lines.join("\n"));
});
