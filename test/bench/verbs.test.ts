// Every verb of the benchmark runs with a tiny input, so that it cannot rot.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { projectRoot } from "../support/paths.ts";
import { Server } from "../support/server.ts";

const run = promisify(execFile);
const tiny = [
  "--clients",
  "6",
  "--conns",
  "3",
  "--total",
  "40",
  "--warmup",
  "5",
  "--key-space",
  "20",
];

async function bench(...args: readonly string[]): Promise<string> {
  const entry = join(projectRoot, ".build/bench/main.js");
  const { stdout } = await run(process.execPath, [entry, ...args, ...tiny]);
  return stdout;
}

test("each verb measures a cluster of its own", async () => {
  const rows = [
    ["put"],
    ["put", "--memory", "--members", "1"],
    ["put", "--val-size", "40000", "--generators", "2"],
    ["put", "--embedded"],
    ["range"],
    ["range", "--serializable"],
    ["txn", "--compare", "--txn-ops", "3"],
    ["mixed", "--reads", "2"],
  ];
  for (const args of rows) {
    const result: unknown = JSON.parse(await bench(...args, "--json"));
    assert.ok(typeof result === "object" && result !== null);
    const { done, errors } = { done: 0, errors: {}, ...result };
    assert.deepEqual({ done, errors }, { done: 40, errors: {} }, args.join(" "));
  }
});

test("a running cluster is measured from outside, alone and against another", async () => {
  await using one = await Server.start({ members: 1 });
  await using two = await Server.start({ members: 1 });
  const first = ["--endpoints", one.endpoints.join(","), "--pids", one.pids.join(",")];
  const second = ["--against", two.endpoints.join(","), "--against-pids", two.pids.join(",")];
  assert.match(
    await bench("put", ...first),
    /put, 6 clients on 3 connections\n {2}\d+ per second \(40 /,
  );
  const text = await bench("put", ...first, ...second, "--rounds", "2", "--label", "one");
  assert.match(text, /one to the other, medians of 2: per second [\d.]+, p50 [\d.]+/);
});

test("an endpoint that nobody listens on is told in one line", async () => {
  const failing = bench("put", "--endpoints", "127.0.0.1:1");
  await assert.rejects(failing, { code: 1, stderr: /^127\.0\.0\.1:1: connect ECONNREFUSED.*\n$/ });
});
