// A store that is replaced by an image, or built anew, and the process killed at each step of it: what the
// next start finds is the old state whole or the new one whole, and nothing is left beside it.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { LogIndex, Term } from "../../src/base/brand.ts";
import { type Engine, Table } from "../../src/storage/engine.ts";
import { type HomeStep, openLmdbHome } from "../../src/storage/lmdbHome.ts";
import type { StoreMoment } from "../../src/storage/storeHome.ts";
import { Child } from "../support/child.ts";
import { nodeArgs } from "../support/paths.ts";
import { homeOptions } from "./storeFixture.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "quorlet-crash-"));
after(() => fs.rmSync(folder, { recursive: true, force: true }));
const crashing = nodeArgs(new URL("./storeCrashChild.ts", import.meta.url));

const beginning: StoreMoment = { index: LogIndex(0), term: Term(0) };
const image: StoreMoment = { index: LogIndex(9), term: Term(1) };

/** Where the process dies, where the log begins by then, and what is found. */
const deaths: readonly {
  at: HomeStep;
  logBase: StoreMoment;
  want: "old" | "new";
  anew?: true;
}[] = [
  { at: "begun", logBase: beginning, want: "old" },
  { at: "synced", logBase: beginning, want: "old" },
  { at: "finished", logBase: beginning, want: "old" },
  { at: "finished", logBase: image, want: "new" },
  { at: "closed", logBase: image, want: "new" },
  { at: "renamed", logBase: image, want: "new" },
  { at: "opened", logBase: image, want: "new" },
  { at: "removed", logBase: image, want: "new" },
  // Built anew, the log does not change: it leads on from either.
  { at: "finished", logBase: beginning, want: "old", anew: true },
  { at: "closed", logBase: beginning, want: "old", anew: true },
  { at: "renamed", logBase: beginning, want: "new", anew: true },
  { at: "opened", logBase: beginning, want: "new", anew: true },
];

for (const [i, { at, logBase, want, anew }] of deaths.entries()) {
  const what = anew ? "built anew" : "an image";
  test(`${what}, killed when ${at}, log behind ${logBase.index}: the ${want} store`, async () => {
    const directory = path.join(folder, `${i}`, "store");
    const args = [...crashing, directory, at, ...(anew ? ["anew"] : [])];
    const child = new Child({ command: process.execPath, args });
    assert.equal(await child.ended({ timeoutMs: 60_000 }), "ended with SIGKILL", child.output);
    // Twice: the first start may not leave anything for the second to stumble over.
    for (let start = 0; start < 2; start++) {
      const home = openLmdbHome(homeOptions(directory, { logBase }));
      assert.deepEqual(valuesOf(home.engine), { [`${want}.`]: 3000 });
      assert.deepEqual(fs.readdirSync(path.dirname(directory)), ["store"]);
      await home.close();
    }
  });
}

/** How many rows begin with which four letters. */
function valuesOf(engine: Engine): Record<string, number> {
  const counts: Record<string, number> = {};
  engine.scan({ table: Table.key, from: Buffer.alloc(0) }, (_, value) => {
    const text = Buffer.from(value).toString();
    const start = text.slice(0, 4);
    assert.equal(text, start.repeat(20));
    counts[start] = (counts[start] ?? 0) + 1;
    return true;
  });
  return counts;
}
