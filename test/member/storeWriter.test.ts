// When rows go to the store: many at once, some soon, few after a while, one batch at a time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { StoreWriter } from "../../src/member/storeWriter.ts";
import type { Engine, EngineBatch } from "../../src/storage/engine.ts";

function writer() {
  const state = { nowMs: 1000, rows: 0, done: (_error?: Error): void => {} };
  const engine = {
    submit(_batch: EngineBatch, done: (error: Error | undefined) => void) {
      state.done = done;
    },
  } as Pick<Engine, "submit"> as Engine;
  const writer = new StoreWriter({
    clock: { nowMs: () => state.nowMs },
    engine,
    source: {
      get unflushedRows() {
        return state.rows;
      },
      takeBatch: () => {
        state.rows = 0;
        return { puts: [], deletes: [] } as unknown as EngineBatch;
      },
      batchWritten() {},
    },
    onDone() {},
  });
  /** Milliseconds until a batch leaves, tried each of them; those before are to have been too early. */
  const leavesAfter = (rows: number): number => {
    const { taken } = writer;
    state.rows = rows;
    for (let ms = 0; ms < 1000; ms++, state.nowMs++) {
      writer.turn();
      if (writer.taken > taken) return ms;
    }
    throw new Error("never");
  };
  return { state, writer, leavesAfter };
}

test("few rows wait 200 ms, two thousand 40, four thousand not at all", () => {
  const { state, leavesAfter } = writer();
  for (const [rows, ms] of [
    [1, 200],
    [1_999, 200],
    [2_000, 40],
    [3_999, 40],
    [4_000, 0],
  ] as const) {
    assert.equal(leavesAfter(rows), ms, `${rows} rows`);
    state.done();
  }
});

test("while a batch is under way no other leaves", () => {
  const { state, writer: each, leavesAfter } = writer();
  leavesAfter(4_000);
  state.rows = 10_000;
  state.nowMs += 10_000;
  each.turn();
  assert.equal(each.taken, 1);
  assert.equal(each.isIdle, false);
  state.done();
  each.turn();
  assert.equal(each.taken, 2);
});
