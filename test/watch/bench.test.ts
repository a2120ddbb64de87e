// The micro benchmark with tiny input, so that it cannot rot.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { projectRoot } from "../support/paths.ts";

test("bench/micro/watch.ts runs and names its figures", () => {
  const script = join(projectRoot, "bench/micro/watch.ts");
  const args = ["--expose-gc", "--import", "tsx", script, "1000"];
  const output = execFileSync(process.execPath, args, { cwd: projectRoot, encoding: "utf8" });
  for (const name of [
    "bytes per idle watcher",
    "put, nobody watches",
    "one put to 100 watchers of its key",
    "event, 100 watchers",
    "revision of history",
  ]) {
    assert.ok(output.includes(name), `${name} in:\n${output}`);
  }
});
