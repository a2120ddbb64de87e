// The README's examples of embedding, run as they stand there.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { projectRoot } from "../support/paths.ts";

test('the examples under "Embed it" do what they say', async (t) => {
  const readme = readFileSync(join(projectRoot, "README.md"), "utf8");
  const section = /\n## Embed it\n(.*?)\n## /s.exec(readme)?.[1] ?? "";
  const blocks = [...section.matchAll(/```ts\n(.*?)```/gs)].map((match) => match[1] ?? "");
  // The last one is a program of its own, against a cluster that runs elsewhere.
  const program = blocks.filter((block) => !block.includes("connect(")).join("\n");
  const entry = pathToFileURL(join(projectRoot, ".build/src/quorlet.js")).href;
  const folder = mkdtempSync(join(tmpdir(), "quorlet-readme-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "example.mts");
  writeFileSync(path, program.replace('"quorlet"', JSON.stringify(entry)));
  const tsx = join(projectRoot, "node_modules/.bin/tsx");
  const { stdout } = await promisify(execFile)(tsx, [path], { timeout: 120_000 });
  const lines = stdout.trimEnd().split("\n");
  assert.deepEqual(lines.slice(0, 2), ["hello", "put web/1 up"]);
  assert.match(lines[2] ?? "", /^\d+$/);
  assert.equal(lines.length, 3);
});
