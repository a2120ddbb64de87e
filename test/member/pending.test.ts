// Proposals that wait: batches per turn, outcomes by position, repeats, bounds, time-outs.
import assert from "node:assert/strict";
import test from "node:test";
import { batchOrigin, CommandKind, forEachCommand } from "../../src/apply/command.ts";
import type { Outcome } from "../../src/apply/outcome.ts";
import { MemberId, Revision } from "../../src/base/brand.ts";
import {
  type EtcdError,
  errStopped,
  errTimeout,
  errTimeoutLeaderFail,
  errTooManyRequests,
} from "../../src/base/errors.ts";
import {
  answerAll,
  batchBytesMax,
  batchesInFlightMax,
  Pending,
  pendingBytesMax,
  proposalBytesMax,
} from "../../src/member/pending.ts";
import type { ProposalCompletion } from "../../src/member/service.ts";

class Caller implements ProposalCompletion {
  outcome: Outcome | undefined;
  error: EtcdError | undefined;
  onOutcome(outcome: Outcome): void {
    assert.equal(this.outcome ?? this.error, undefined, "answered once");
    this.outcome = outcome;
  }
  onRefused(error: EtcdError): void {
    assert.equal(this.outcome ?? this.error, undefined, "answered once");
    this.error = error;
  }
}

const self = MemberId(7n);
const body = (text: string): Uint8Array => Buffer.from(text);
const put = (revision: number): Outcome => ({
  kind: "put",
  revision: Revision(revision),
  prevRow: undefined,
});

function setUp(): {
  pending: Pending;
  proposed: Uint8Array[];
  propose: (d: readonly Uint8Array[]) => void;
} {
  const proposed: Uint8Array[] = [];
  const pending = new Pending({ self, incarnation: 3, waitTicksMax: 70, resendTicksMin: 20 });
  return { pending, proposed, propose: (datas) => void proposed.push(...datas) };
}

function at<T>(items: readonly T[], index: number): T {
  const item = items[index];
  assert.ok(item !== undefined, `nothing at ${index}`);
  return item;
}

test("commands of one turn become one batch and get their outcomes by position", () => {
  const { pending, proposed, propose } = setUp();
  const callers = [new Caller(), new Caller()];
  pending.add(CommandKind.put, body("a"), at(callers, 0));
  pending.add(CommandKind.txn, body("bc"), at(callers, 1));
  pending.proposeTurn(propose);
  assert.equal(proposed.length, 1);
  const data = at(proposed, 0);
  assert.deepEqual(batchOrigin(data), { member: self, incarnation: 3, sequence: 1 });
  const seen: string[] = [];
  forEachCommand(data, (kind, from, to) =>
    seen.push(`${kind}:${Buffer.from(data.subarray(from, to))}`),
  );
  assert.deepEqual(seen, ["1:a", "3:bc"]);
  assert.equal(pending.awaits(data), true);
  answerAll(pending.take(data) ?? [], [put(2), put(3)]);
  assert.deepEqual(
    callers.map((caller) => caller.outcome),
    [put(2), put(3)],
  );
  assert.equal(pending.commands, 0);
  assert.equal(pending.take(data), undefined, "an outcome is given once");
});

test("a batch of another member or of an earlier life is not ours", () => {
  const { pending, proposed, propose } = setUp();
  pending.add(CommandKind.put, body("a"), new Caller());
  pending.proposeTurn(propose);
  for (const other of [
    new Pending({ self: MemberId(8n), incarnation: 3, waitTicksMax: 70, resendTicksMin: 20 }),
    new Pending({ self, incarnation: 4, waitTicksMax: 70, resendTicksMin: 20 }),
  ]) {
    other.add(CommandKind.put, body("x"), new Caller());
    other.proposeTurn(() => {});
    assert.equal(other.awaits(at(proposed, 0)), false);
  }
});

test("a large turn is cut into several entries, in order", () => {
  const { pending, proposed, propose } = setUp();
  const big = new Uint8Array(batchBytesMax / 2 + 1);
  for (let i = 0; i < 3; i++) pending.add(CommandKind.put, big, new Caller());
  pending.proposeTurn(propose);
  assert.deepEqual(
    proposed.map((data) => batchOrigin(data).sequence),
    [1, 2, 3],
  );
});

test("what waits is handed over in pieces that fit a message, in order", () => {
  const { pending } = setUp();
  const big = new Uint8Array(batchBytesMax - 64);
  const count = pendingBytesMax / batchBytesMax;
  for (let i = 0; i < count; i++) pending.add(CommandKind.put, big, new Caller());
  for (const send of ["proposeTurn", "onLeader"] as const) {
    const pieces: (readonly Uint8Array[])[] = [];
    pending[send]((datas) => void pieces.push(datas));
    for (const piece of pieces) {
      const bytes = piece.reduce((sum, data) => sum + data.length, 0);
      assert.ok(bytes <= proposalBytesMax, `${send}: ${bytes} bytes at once`);
    }
    assert.deepEqual(
      pieces.flat().map((data) => batchOrigin(data).sequence),
      Array.from({ length: count }, (_, i) => i + 1),
      send,
    );
  }
});

test("a command waits no longer for finding others under way", () => {
  const { pending, propose } = setUp();
  const callers = Array.from({ length: batchesInFlightMax + 3 }, () => new Caller());
  const endedAt = new Map<Caller, number>();
  for (let tick = 0; tick < 200; tick++) {
    const caller = callers[tick];
    if (caller) pending.add(CommandKind.put, body("a"), caller);
    pending.proposeTurn(propose);
    pending.tick(propose);
    for (const each of callers) if (each.error && !endedAt.has(each)) endedAt.set(each, tick + 1);
  }
  // Those that share a batch end with the first of it.
  assert.deepEqual(
    callers.map((caller) => endedAt.get(caller)),
    [70, 71, 72, 72, 72],
  );
  assert.equal(pending.commands, 0);
});

test("above the byte bound a command is refused at once, and room comes back", () => {
  const { pending, proposed, propose } = setUp();
  const half = new Uint8Array(pendingBytesMax / 2);
  pending.add(CommandKind.put, half, new Caller());
  pending.add(CommandKind.put, half, new Caller());
  const refused = new Caller();
  pending.add(CommandKind.put, body("x"), refused);
  assert.equal(refused.error, errTooManyRequests);
  pending.proposeTurn(propose);
  for (const data of proposed) answerAll(pending.take(data) ?? [], [put(2)]);
  const later = new Caller();
  pending.add(CommandKind.put, body("x"), later);
  assert.equal(later.error, undefined);
});

test("a new leader gets everything that waits again, byte for byte and in order", () => {
  const { pending, proposed, propose } = setUp();
  for (const text of ["a", "b"]) {
    pending.add(CommandKind.put, body(text), new Caller());
    pending.proposeTurn(propose);
  }
  const again: Uint8Array[] = [];
  pending.onLeader((datas) => void again.push(...datas));
  assert.deepEqual(again, proposed);
});

test("silence makes a batch go out again, less and less often, until its time is over", () => {
  const { pending, proposed, propose } = setUp();
  const caller = new Caller();
  pending.add(CommandKind.put, body("a"), caller);
  pending.proposeTurn(propose);
  const sentAt: number[] = [];
  for (let tick = 1; tick <= 70; tick++) {
    const before = proposed.length;
    pending.tick(propose);
    if (proposed.length > before) sentAt.push(tick);
  }
  assert.deepEqual(sentAt, [20, 60]);
  assert.equal(caller.error, errTimeout);
  assert.equal(pending.commands, 0);
});

test("an election within the wait is named in the time-out", () => {
  const { pending, propose } = setUp();
  const caller = new Caller();
  pending.add(CommandKind.put, body("a"), caller);
  pending.proposeTurn(propose);
  pending.onLeader(propose);
  for (let tick = 1; tick <= 70; tick++) pending.tick(propose);
  assert.equal(caller.error, errTimeoutLeaderFail);
});

test("a batch that was overtaken is proposed under a new sequence, its callers still waiting", () => {
  const { pending, proposed, propose } = setUp();
  const caller = new Caller();
  pending.add(CommandKind.put, body("a"), caller);
  pending.proposeTurn(propose);
  const first = at(proposed, 0);
  pending.renew(first);
  pending.proposeTurn(propose);
  const second = at(proposed, 1);
  assert.equal(batchOrigin(second).sequence, 2);
  assert.equal(pending.take(first), undefined);
  answerAll(pending.take(second) ?? [], [put(9)]);
  assert.deepEqual(caller.outcome, put(9));
});

test("stopping refuses what waits and what was not proposed yet", () => {
  const { pending, propose } = setUp();
  const callers = [new Caller(), new Caller()];
  pending.add(CommandKind.put, body("a"), at(callers, 0));
  pending.proposeTurn(propose);
  pending.add(CommandKind.put, body("b"), at(callers, 1));
  pending.refuseAll(errStopped);
  assert.deepEqual(
    callers.map((caller) => caller.error),
    [errStopped, errStopped],
  );
});
