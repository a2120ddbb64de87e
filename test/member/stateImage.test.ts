// What an image says of itself: index and term are those of its rows, and so is the membership.
import assert from "node:assert/strict";
import test from "node:test";
import { LogIndex, MemberId, Term } from "../../src/base/brand.ts";
import { takeImage } from "../../src/member/stateImage.ts";
import { encodeSavedState, freshState, savedStateKey } from "../../src/mvcc/savedState.ts";
import type { Configuration } from "../../src/raft/types.ts";
import { Table } from "../../src/storage/engine.ts";
import { MemoryEngine } from "../../src/storage/memory.ts";

const votersAt = (since: number, ...ids: bigint[]): Configuration => ({
  index: LogIndex(since),
  membership: { voters: ids.map(MemberId), outgoing: [], learners: [] },
});
const configurations = [votersAt(0, 1n), votersAt(5, 1n, 2n), votersAt(8, 1n, 2n, 3n)];

/** Far ahead of the store: term 9, applied 12. */
const raft = {
  term: Term(9),
  status: () => ({ term: Term(9), applied: LogIndex(12), commit: LogIndex(12) }),
  membershipAt: (index: LogIndex) =>
    configurations.findLast((each) => each.index <= index)?.membership,
};

function engineAt(index: number, term: number): MemoryEngine {
  const deferred: (() => void)[] = [];
  const engine = new MemoryEngine({ defer: (run) => void deferred.push(run) });
  const applied = { index: LogIndex(index), term: Term(term) };
  const value = encodeSavedState({ ...freshState, applied });
  engine.submit(
    { puts: [{ table: Table.meta, key: savedStateKey, value }], deletes: [] },
    () => {},
  );
  for (const run of deferred.splice(0)) run();
  return engine;
}

test("an image carries index, term and membership of its rows, not those of raft", () => {
  const rows = [
    { index: 4, term: 2, voters: [1n] },
    { index: 5, term: 3, voters: [1n, 2n] },
    { index: 7, term: 3, voters: [1n, 2n] },
    { index: 8, term: 8, voters: [1n, 2n, 3n] },
  ];
  for (const { index, term, voters } of rows) {
    const image = takeImage(engineAt(index, term), raft);
    assert.ok(image);
    const membership = { voters, outgoing: [], learners: [] };
    assert.deepEqual(image.meta, { index, term, membership }, `rows up to ${index}`);
    image.rows.close();
  }
});

test("a store in which nothing was applied gives no image, and keeps no pin", () => {
  assert.equal(takeImage(engineAt(0, 0), raft), undefined);
  const empty = new MemoryEngine({ defer: () => {} });
  assert.equal(takeImage(empty, raft), undefined);
});
