// The micro benchmark with tiny input, so that it cannot rot.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { projectRoot } from "../support/paths.ts";

test("bench/micro/mvcc.ts runs and names its figures", () => {
  const script = join(projectRoot, "bench/micro/mvcc.ts");
  const args = ["--import", "tsx", script, "1000"];
  const output = execFileSync(process.execPath, args, { cwd: projectRoot, encoding: "utf8" });
  for (const name of [
    "apply put, new key",
    "get of a hot key",
    "range of 100",
    "open, 1000 rows",
  ]) {
    assert.ok(output.includes(name), `${name} in:\n${output}`);
  }
});
