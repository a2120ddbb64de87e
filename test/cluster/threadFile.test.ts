// A member's thread runs the bundle, unless that is older than the modules beside it.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";
import { threadFile } from "../../src/cluster/threadFile.ts";

const folder = mkdtempSync(join(tmpdir(), "quorlet-build-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let builds = 0;

/** A build whose files, by path, were written in these seconds. @returns what a thread runs. */
function fileOf(
  files: Readonly<Record<string, number>>,
  from = "src/cluster/memberThread.js",
): string {
  const build = join(folder, `${++builds}`);
  for (const [path, sec] of Object.entries(files)) {
    mkdirSync(dirname(join(build, path)), { recursive: true });
    writeFileSync(join(build, path), "");
    utimesSync(join(build, path), sec, sec);
  }
  const root = pathToFileURL(`${build}/`);
  return threadFile(new URL(from, root).href).href.slice(root.href.length);
}

const modules = { "src/cluster/memberThread.js": 5, "src/raft/core.js": 5, "workers/member.js": 5 };

test("a thread runs the bundle that is as new as the modules, else the modules", () => {
  const rows = [
    { files: { ...modules, "bundle/member.js": 9 }, want: "bundle/member.js" },
    // A package's files are all of one time.
    { files: { ...modules, "bundle/member.js": 5 }, want: "bundle/member.js" },
    { files: { ...modules, "bundle/member.js": 9, "src/raft/core.js": 10 } },
    { files: { ...modules, "bundle/member.js": 9, "workers/memberHost.js": 10 } },
    {
      files: { ...modules, "bundle/member.js": 9, "src/raft/core.js.map": 10 },
      want: "bundle/member.js",
    },
    { files: modules },
  ];
  for (const { files, want = "workers/member.js" } of rows) {
    assert.equal(fileOf(files), want, JSON.stringify(files));
  }
  // Who is bundled stays with what it was bundled with; who runs from source needs no build.
  const old = { ...modules, "bundle/member.js": 1, "bundle/chunk.js": 1 };
  assert.equal(fileOf(old, "bundle/chunk.js"), "bundle/member.js");
  const source = { "src/cluster/memberThread.ts": 5, "workers/source.mjs": 5 };
  assert.equal(fileOf(source, "src/cluster/memberThread.ts"), "workers/source.mjs");
  assert.throws(() => fileOf({ "src/cluster/memberThread.js": 5 }));
});
