// What is told of slow commands (test/member/slow.test.ts has the usual ones).
import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandKind } from "../../src/apply/command.ts";
import type { RangeResult } from "../../src/apply/outcome.ts";
import { responseTextOf } from "../../src/apply/slowCommand.ts";
import { Revision } from "../../src/base/brand.ts";

test("the size of a very long answer is that of its rows", () => {
  const row = new Uint8Array(1_000_000);
  const revision = Revision(2);
  const told: RangeResult = {
    ...{ kind: "range", revision, rows: [row, row], more: false, count: 2 },
  };
  const outcome = { kind: "txn", revision, succeeded: true, results: [told, told] } as const;
  const slow = { kind: CommandKind.txn, body: new Uint8Array(0), tookMs: 200, outcome };
  assert.equal(responseTextOf(slow), "size:4000000");
});
