// The micro benchmark with tiny input, so that it cannot rot.
import assert from "node:assert/strict";
import { test } from "node:test";
import { benchRaft } from "../../bench/micro/raft.ts";

test("one proposal costs two appends, two answers and at most two more", () => {
  const { messagesPerTurn } = benchRaft({ batch: 4, turns: 50 });
  assert.ok(messagesPerTurn <= 6, `${messagesPerTurn} messages`);
});
