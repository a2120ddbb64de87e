// Slow work is told in the log with etcd's keys, once for each time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandKind } from "../../src/apply/command.ts";
import { MemberId } from "../../src/base/brand.ts";
import type { Log, LogFields } from "../../src/base/ports.ts";
import { SeldomLog } from "../../src/base/seldomLog.ts";
import { Pending } from "../../src/member/pending.ts";
import { MemberTally, slowApplyMs } from "../../src/member/tally.ts";

function memoryLog(): {
  readonly log: Log;
  readonly lines: [message: string, fields?: LogFields][];
} {
  const lines: [string, LogFields?][] = [];
  const note = (message: string, fields?: LogFields): void =>
    void lines.push(fields === undefined ? [message] : [message, fields]);
  return { log: { debug() {}, info: note, warn: note, error: note }, lines };
}

test("a slow round of entries, a slow read, a silent quorum round, commands that wait", () => {
  const { log, lines } = memoryLog();
  const tally = new MemberTally();
  tally.onApplied(3, slowApplyMs, log);
  tally.onApplied(3, slowApplyMs + 1, log);
  assert.equal(tally.slowApplies, 1);
  tally.onReadsBegin(1_000);
  tally.onRead(1_000 + slowApplyMs, log);
  tally.onRead(1_250, log);
  tally.onRead(1_251, log);
  const seldom = new SeldomLog(log, { nowMs: () => 0 });
  for (const slowReads of [0, 1, 1, 2]) tally.onReadsTick(slowReads, seldom);
  tally.onOutcome(5, 299, seldom);
  tally.onOutcome(5, 300, seldom);
  tally.onOutcome(7, 400, seldom);
  assert.equal(tally.slowCommands, 12);
  const took = "apply request took too long";
  const expected = { "expected-duration": "100ms" };
  assert.deepEqual(lines, [
    [took, { took: "101.0ms", ...expected, prefix: "", request: "entries:3" }],
    [took, { took: "150.0ms", ...expected, prefix: "read-only range " }],
    ["waiting for ReadIndex response took too long, retrying", { "retry-timeout": "500ms" }],
    ["request stats", { "time spent": "300ms", "expected-duration": "300ms", "request count": 5 }],
  ]);
});

test("whoever takes a batch's outcome says how long its first command waited", () => {
  const told: string[] = [];
  const pending = new Pending({
    ...{ self: MemberId(7n), incarnation: 3, waitTicksMax: 70, resendTicksMin: 20 },
    onOutcome: (commands, ticks) => void told.push(`${commands} ${ticks}`),
  });
  const proposed: Uint8Array[] = [];
  const propose = (datas: readonly Uint8Array[]): void => void proposed.push(...datas);
  for (const key of ["a", "b"]) {
    const completion = { onOutcome() {}, onRefused() {} };
    pending.add(CommandKind.put, Buffer.from(key), completion);
  }
  pending.proposeTurn(propose);
  for (let tick = 0; tick < 4; tick++) pending.tick(propose);
  pending.take(proposed[0] ?? new Uint8Array(0));
  assert.deepEqual(told, ["2 4"]);
});
