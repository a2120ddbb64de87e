// Crashes of the two stores in memory, for the simulator: what was not completed is forgotten.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LogIndex } from "../../src/base/brand.ts";
import { Table } from "../../src/storage/engine.ts";
import { MemoryEngine } from "../../src/storage/memory.ts";
import { MemoryLog } from "../../src/storage/memoryLog.ts";
import { entries, entry, hardState, membership, never, pictureOf } from "./logFixture.ts";

/** Completions wait here for the test to run them. */
function delayedLog(): { log: MemoryLog; waiting: (() => void)[] } {
  const waiting: (() => void)[] = [];
  return { log: new MemoryLog({ membership, delay: (run) => waiting.push(run) }), waiting };
}

test("a log forgets the saves that were not completed, or keeps the first of them", () => {
  const { log, waiting } = delayedLog();
  log.save({ entries: entries(1, 4) }, true, () => {});
  waiting.shift()?.();
  const states = [pictureOf(log)];
  log.save({ hardState: hardState(2, 1n, 0), entries: [entry(2, 2)] }, true, () => {});
  states.push(pictureOf(log));
  log.save({ entries: entries(3, 6, 2) }, true, () => {});
  states.push(pictureOf(log));
  assert.equal(log.pendingCount, 2);
  for (const [kept, want] of states.entries()) {
    assert.deepEqual(pictureOf(log.afterCrash(kept)), want, `${kept} of the unsynced were kept`);
  }
});

test("a log that crashed completes nothing and takes nothing", () => {
  const { log, waiting } = delayedLog();
  log.save({ entries: [entry(1)] }, true, never);
  const after = log.afterCrash();
  waiting.shift()?.();
  assert.equal(after.lastIndex(), 0);
  assert.throws(() => log.save({ entries: [] }, true, never));
});

test("a commit that moved alone is lost by a crash, and cut to what is there", () => {
  const { log, waiting } = delayedLog();
  log.save({ entries: [entry(1)] }, true, () => {});
  waiting.shift()?.();
  assert.ok(log.save({ hardState: hardState(0, 0n, 1), entries: [] }, false, never));
  assert.equal(log.afterCrash().initialState().hardState.commit, 0);

  const ahead = delayedLog();
  ahead.log.save({ hardState: hardState(1, 0n, 5), entries: entries(1, 3) }, true, () => {});
  assert.equal(ahead.log.afterCrash(1).initialState().hardState.commit, 2);
});

test("a compaction is durable at once, completions still come one by one", () => {
  const { log, waiting } = delayedLog();
  const done: number[] = [];
  log.save({ entries: entries(1, 4) }, true, () => done.push(1));
  log.save({ entries: [entry(4)] }, true, () => done.push(2));
  log.compact(LogIndex(2), membership);
  for (const run of waiting) run();
  assert.deepEqual(done, [1, 2]);
  const after = log.afterCrash();
  assert.equal(after.firstIndex(), 3);
  assert.equal(after.lastIndex(), 4);
});

test("an engine forgets the batch under way", () => {
  const waiting: (() => void)[] = [];
  const engine = new MemoryEngine({ defer: (run) => waiting.push(run) });
  const key = Uint8Array.of(1);
  const put = (byte: number) => ({
    puts: [{ table: Table.key, key, value: Uint8Array.of(byte) }],
    deletes: [],
  });
  engine.submit(put(1), () => {});
  waiting.shift()?.();
  engine.submit(put(2), never);
  const after = engine.afterCrash();
  waiting.shift()?.();
  assert.deepEqual(after.get(Table.key, key), Uint8Array.of(1));
  assert.deepEqual(after.size(), { allocatedBytes: 66, inUseBytes: 66 });
  let done = false;
  after.submit(put(3), () => {
    done = true;
  });
  waiting.shift()?.();
  assert.ok(done);
  assert.deepEqual(after.get(Table.key, key), Uint8Array.of(3));
});
