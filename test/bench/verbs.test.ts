// The verbs of the benchmark run with a tiny input, so that they cannot rot.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { projectRoot, serverEntry } from "../support/paths.ts";
import { Server } from "../support/server.ts";

const run = promisify(execFile);
const tiny = [
  ...["--clients", "6", "--conns", "3", "--total", "40", "--warmup", "5", "--key-space", "20"],
];

interface Line {
  readonly done: number;
  readonly errors: object;
  readonly name: string;
}

async function bench(...args: readonly string[]): Promise<string> {
  return await benchAll([args]);
}

/** Several runs in one process, one after the other. */
async function benchAll(runs: readonly (readonly string[])[]): Promise<string> {
  const script = join(projectRoot, "test/bench/benchAll.mjs");
  const cli = join(projectRoot, ".build/bench/cli.js");
  const { stdout } = await run(process.execPath, [script, cli, JSON.stringify(runs)]);
  return stdout;
}

function lines(text: string): readonly Line[] {
  return text
    .trim()
    .split("\n")
    .map((line): Line => ({ done: 0, errors: {}, name: "", ...JSON.parse(line) }));
}

/** One result for each run, complete and without errors. */
async function assertDone(rows: readonly { args: readonly string[]; done: number }[]) {
  const results = lines(await benchAll(rows.map(({ args }) => args)));
  const got = results.map(({ done, errors }) => ({ done, errors }));
  assert.deepEqual(
    got,
    rows.map(({ done }) => ({ done, errors: {} })),
  );
}

test("each verb measures a running cluster", async () => {
  await using server = await Server.start({ members: 1 });
  const where = ["--endpoints", server.endpoints.join(","), "--pids", server.pids.join(",")];
  const few = ["--count", "30", "--warmup", "3", "--clients", "2", "--ms", "50", ...where];
  const scales = ["scale-leases", "scale-compaction", "scale-range", "scale-watchers"];
  const told = await benchAll(scales.map((verb) => [verb, ...few]));
  assert.match(told, /30 live leases.*\n.* bytes each/);
  assert.match(told, /30 revisions compacted.*\nputs beside, 2/);
  assert.match(told, /a range of 30 keys.*\nslowest put/);
  assert.match(told, /30 idle watchers.*\n.* bytes each\nputs without them, 2/);
  const rows = [
    { args: ["put"], done: 40 },
    { args: ["put", "--val-size", "40000", "--generators", "2"], done: 40 },
    { args: ["put", "--rate", "400", "--sequential"], done: 40 },
    { args: ["range"], done: 40 },
    { args: ["range", "--serializable", "--prefix", "--limit", "5"], done: 40 },
    { args: ["txn-put", "--compare", "--txn-ops", "3"], done: 40 },
    { args: ["txn-mixed", "--reads", "2"], done: 40 },
    { args: ["mixed", "--reads", "2"], done: 40 },
    { args: ["stm", "--txn-ops", "2"], done: 40 },
    { args: ["watch", "--watchers", "7", "--streams", "2"], done: 280 },
    { args: ["watch-latency", "--watchers", "3", "--rate", "500", "--generators", "2"], done: 120 },
  ];
  await assertDone(
    rows.map(({ args, done }) => ({ args: [...args, ...where, ...tiny, "--json"], done })),
  );
});

test("a cluster of our own is measured in threads, in processes and embedded", async () => {
  const rows = [
    ["put", "--memory", "--members", "1"],
    ["put", "--transport", "ws", "--members", "1"],
    ["put", "--embedded", "--memory", "--members", "1"],
    ["pipeline", "--members", "1"],
    ["pipeline", "--memory", "--members", "1"],
  ];
  await assertDone(rows.map((args) => ({ args: [...args, ...tiny, "--json"], done: 40 })));
});

test("a member that was away catches up", async () => {
  const few = ["--mib", "1", "--warmup", "20", "--ms", "100", "--clients", "2"];
  const text = await bench("catch-up", ...few);
  assert.match(text, /by snapshot: \d[\d.]* MiB\/s for .*\n.*puts per second \d+ before/);
  assert.match(text, /elections \d+; longest silence/);
});

test("few keys and many, few revisions and many, are loaded in turn", async () => {
  const few = ["--memory", "--members", "1", "--base", "20", "--total", "40", "--rounds", "1"];
  const text = await bench("scale-history", "--count", "150", "--clients", "3", ...few);
  assert.match(text, /put, 20 keys, 150 revisions: \d[\d.]* µs of server CPU each/);
  assert.match(text, /get: CPU of the second to the first .*; median/);
});

test("members start again with what they held", async () => {
  const few = ["--keys", "150", "--rounds", "1", "--settle", "50"];
  const text = await bench("scale-restart", ...few);
  assert.match(text, /1 processes, 150 keys: serves after \d[\d.]* s, CPU of all/);
});

test("the apply path is measured alone, over each store", async () => {
  const small = ["--total", "200", "--batch", "20", "--key-space", "50", "--json"];
  const rows = [
    ["--store", "none", "--wanted"],
    ["--store", "memory", "--new-keys"],
    ["--store", "lmdb"],
  ];
  await assertDone(rows.map((args) => ({ args: ["apply", ...args, ...small], done: 200 })));
});

test("two clusters are loaded in turn, compared in a table and drawn on a page", async () => {
  await using one = await Server.start({ members: 1 });
  await using two = await Server.start({ members: 1 });
  const folder = mkdtempSync(join(tmpdir(), "quorlet-page-"));
  const page = join(folder, "page.html");
  const first = ["--endpoints", one.endpoints.join(","), "--pids", one.pids.join(",")];
  const second = ["--against", two.endpoints.join(","), "--against-pids", two.pids.join(",")];
  const both = [...first, ...second, "--rounds", "2", "--label", "one", ...tiny];
  try {
    const text = await bench("put", ...both, "--report", page);
    assert.match(text, /put × 6 on 3 connections\n {2}\d+ per second \(40 /);
    assert.match(text, /put × 6 +\d+ +\d+ +[\d.]+×/);
    assert.match(readFileSync(page, "utf8"), /one beside the other/);
    // Who goes first changes with each round.
    const order = [...text.matchAll(/^(one|the other): put/gm)].map(([, name]) => name);
    assert.deepEqual(order, ["one", "the other", "the other", "one"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("an endpoint that nobody listens on is told in one line", async () => {
  const failing = bench("put", "--endpoints", "127.0.0.1:1");
  await assert.rejects(failing, { code: 1, stderr: /^127\.0\.0\.1:1: connect ECONNREFUSED.*\n$/ });
});

test("users of the package have the same as `quorlet bench` and `quorlet check perf`", async () => {
  const usage = await run(process.execPath, [serverEntry, "bench", "put", "--help"]);
  assert.match(usage.stdout, /--key-space/);
  await using server = await Server.start({ members: 1 });
  const check = [serverEntry, "check", "perf", "--endpoints", server.endpoints.join(",")];
  const short = [...check, "--seconds", "1"];
  const { stdout } = await run(process.execPath, short).catch((error: { stdout: string }) => error);
  assert.match(stdout, /: Throughput .* writes\/s\n.*\n.*\n(PASS|FAIL)\n$/);
});
