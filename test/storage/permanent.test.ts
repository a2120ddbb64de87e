// Which faults of a disk end a member for good, and which its next start may mend.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Table } from "../../src/storage/engine.ts";
import { EngineFault } from "../../src/storage/engineFault.ts";
import { LogFault } from "../../src/storage/log.ts";
import { isPermanent } from "../../workers/permanent.ts";

const file = "0000000001.log";
const saved = { from: 1, to: 2 };
const key = Buffer.from("k");
const lost = { file, saved };

const rows: readonly { error: Error; start: boolean; run: boolean }[] = [
  { error: new LogFault({ kind: "io", file, code: "EIO" }), start: true, run: true },
  { error: new EngineFault({ kind: "io", why: "EIO" }), start: true, run: true },
  { error: new LogFault({ kind: "noSpace", file }), start: false, run: false },
  { error: new EngineFault({ kind: "noSpace" }), start: false, run: false },
  // The next start looks at everything and has it refilled; if it cannot, it says so for good.
  { error: new LogFault({ kind: "damaged", file, offset: 1 }), start: true, run: false },
  { error: new EngineFault({ kind: "damaged", table: Table.key, key }), start: true, run: false },
  { error: new EngineFault({ kind: "missing", ...lost }), start: true, run: true },
  { error: new LogFault({ kind: "foreignCluster", file }), start: true, run: true },
  {
    error: new EngineFault({ kind: "foreignMember", found: 1n, want: 2n }),
    start: true,
    run: true,
  },
  { error: new Error("a mistake of ours"), start: false, run: false },
];

for (const { error, start, run } of rows) {
  test(`${error.name}, ${error.message}: at the start ${start}, later ${run}`, () => {
    assert.equal(isPermanent(error, "start"), start);
    assert.equal(isPermanent(error, "run"), run);
  });
}
