// The pump while a snapshot is taken over: raft goes on hearing, but nothing of it is carried out.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LogIndex, MemberId, Term } from "../../src/base/brand.ts";
import { Prng } from "../../src/base/prng.ts";
import { Outbox } from "../../src/member/outbox.ts";
import { Pump } from "../../src/member/pump.ts";
import type { Message } from "../../src/raft/message.ts";
import { RaftNode } from "../../src/raft/node.ts";
import { type Entry, EntryKind } from "../../src/raft/types.ts";
import { MemoryLog } from "../../src/storage/memoryLog.ts";
import { decodeFrame } from "../../src/transport/frame.ts";
import { defaults } from "../raft/testMember.ts";

const [self, leader] = [MemberId(1n), MemberId(2n)];
const term = Term(3);
const membership = { voters: [self, leader], outgoing: [], learners: [] };
const meta = { index: LogIndex(10), term, membership };
const from = { from: leader, to: self, term };

const entry = (index: number): Entry => {
  return { index: LogIndex(index), term, kind: EntryKind.normal, data: Buffer.from(`${index}`) };
};

/** Entry `index`, and word that it is committed. */
const append = (index: number): Message => {
  const [prevIndex, commit] = [LogIndex(index - 1), LogIndex(index)];
  return { kind: "append", ...from, prevIndex, prevTerm: term, commit, entries: [entry(index)] };
};

/** @param delay see `MemoryLog`. */
function follower(delay?: (complete: () => void) => void) {
  const log = new MemoryLog({ membership, delay });
  const raft = new RaftNode({ ...defaults, id: self, applied: LogIndex(0) }, log, new Prng(1));
  /** What the pump did, in order. */
  const done: string[] = [];
  const link = {
    send: (to: MemberId, bytes: Uint8Array) => {
      const frame = decodeFrame({ from: self, to, bytes });
      assert.ok(frame.kind !== "bad");
      for (const message of frame.messages) done.push(`${message.kind} ${indexOf(message)}`);
    },
    sendBulk: () => true,
    onFrame: undefined,
    connected: () => true,
    close: () => {},
  };
  const outbox = new Outbox(link, () => {});
  const pump = new Pump({
    ...{ raft, log, outbox },
    hooks: {
      apply: (entries) => void done.push(...entries.map(({ index }) => `apply ${index}`)),
      onReads: () => {},
      onSnapshotSaved: () => void done.push(`saved ${log.base().index}`),
      wake: () => {},
      fail: (error) => assert.fail(error),
    },
  });
  const turn = (): readonly string[] => {
    pump.drain();
    outbox.flush();
    return done.splice(0);
  };
  return { raft, log, pump, turn };
}

const indexOf = (message: Message): number | string => ("index" in message ? message.index : "");

test("nothing is saved, answered or applied between a snapshot and its state machine", () => {
  const { raft, log, pump, turn } = follower();
  raft.step({ kind: "snapshot", ...from, meta });
  assert.deepEqual(turn(), ["saved 10", "appendReply 10"]);
  assert.ok(pump.isHeld);
  for (const index of [11, 12]) {
    raft.step(append(index));
    assert.deepEqual(turn(), [], `entry ${index}`);
    assert.equal(log.lastIndex(), 10, "its write would be one of the state of before");
  }
  // A second one, as a leader sends that has not heard of the first.
  raft.step({ kind: "snapshot", ...from, meta });
  assert.deepEqual(turn(), []);
  raft.applied(meta.index);
  pump.resume();
  assert.deepEqual(turn(), ["apply 11", "apply 12", "appendReply 12"]);
});

test("the hold begins with the write of the snapshot, not with its end", () => {
  const writes: (() => void)[] = [];
  const { raft, log, pump, turn } = follower((complete) => void writes.push(complete));
  raft.step({ kind: "snapshot", ...from, meta });
  raft.step(append(11));
  assert.deepEqual(turn(), []);
  raft.step(append(12));
  assert.deepEqual(turn(), []);
  assert.deepEqual([log.lastIndex(), writes.length], [11, 1], "one write, of what came with it");
  for (const complete of writes.splice(0)) complete();
  assert.deepEqual(turn(), ["saved 10", "appendReply 11"]);
  raft.applied(meta.index);
  pump.resume();
  assert.deepEqual(turn(), ["apply 11"]);
  for (const complete of writes.splice(0)) complete();
  assert.deepEqual(turn(), ["apply 12", "appendReply 12"]);
});
