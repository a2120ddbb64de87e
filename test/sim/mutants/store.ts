// Bugs of what is applied and of what is kept: store, log, recovery.
import { torn } from "./corners.ts";
import type { Mutant } from "./mutant.ts";

const outside = "consistent index saved outside the apply transaction";
const compaction = "compaction racing with watch, tombstones, hash";
/** Every read goes to the store, which writes slowly. */
const coldReads = { recentBytesMax: 0, disk: { storeUsMax: 500_000 } } as const;

const state: readonly Mutant[] = [
  {
    name: "the applied index is saved a batch early",
    trap: outside,
    file: "src/apply/applier.ts",
    find: `    return this.store.takeBatch({ index: this.#applied, term: this.#term });`,
    replace: `    const batch = this.store.takeBatch({ index: this.#applied, term: this.#term });
    const rows = batch?.puts.filter(({ table }) => table !== Table.key) ?? [];
    if (batch === undefined || rows.length === batch.puts.length) return batch;
    return this.#applied % 7 === 0 ? { puts: rows, deletes: [] } : batch;`,
  },
  {
    name: "the applied index is saved behind the changes",
    trap: outside,
    file: "src/mvcc/savedState.ts",
    find: `LogIndex(view.getFloat64(1))`,
    replace: `LogIndex(Math.max(0, view.getFloat64(1) - 1))`,
  },
  {
    name: "which batches were applied is not saved",
    trap: outside,
    file: "src/apply/applier.ts",
    find: `    this.#origins.takeChanged((key, value) => this.store.stage(Table.meta, key, value));\n`,
    replace: ``,
  },
  {
    name: "a batch counts as written before it is",
    trap: "own",
    file: "src/member/storeWriter.ts",
    find: `    this.#engine.submit(batch, (error) => {
      this.#flushSec?.observe((this.#clock.nowMs() - nowMs) / 1000);
      if (error === undefined) {
        this.#written++;
        this.#source.batchWritten();
      }`,
    replace: `    this.#source.batchWritten();
    this.#engine.submit(batch, (error) => {
      if (error === undefined) this.#written++;`,
    focus: coldReads,
  },
  {
    name: "the digest of the state begins anew with each life",
    trap: "own",
    file: "src/mvcc/store.ts",
    find: `        digest: state.digest,`,
    replace: `        digest: 0,`,
  },
  {
    name: "a guard on a missing key's revision never holds",
    trap: "own",
    file: "src/apply/compare.ts",
    find: `      return verdict(guard.result, order(0, numberOperand(guard)));`,
    replace: `      return false;`,
  },
  {
    name: "a txn takes the wrong branch when it has no guard on value",
    trap: "own",
    file: "src/apply/compare.ts",
    find: `  for (const guard of guards) if (!holds(store, guard)) return false;`,
    replace: `  for (const guard of guards) if (holds(store, guard)) return true;`,
  },
  {
    name: "reads of the past see the next change",
    trap: "own",
    file: "src/mvcc/revisions.ts",
    find: `      if ((page[middle] ?? 0) <= revision) low = middle + 1;`,
    replace: `      if ((page[middle] ?? 0) <= revision + 1) low = middle + 1;`,
  },
  {
    name: "compaction drops the version at its own revision",
    trap: compaction,
    file: "src/mvcc/keyHistory.ts",
    find: `lastMain <= revision ? past.count : past.lastAtOrBelow(revision), drop);`,
    replace: `lastMain <= revision ? past.count : past.lastAtOrBelow(revision) + 1, drop);`,
    focus: { load: { compact: 20 } },
  },
  {
    name: "compaction drops the newest version of a quiet key",
    trap: compaction,
    file: "src/mvcc/index.ts",
    find: `    this.#forgetHistory(slot);\n    return !this.isAlive(slot);`,
    replace: `    this.#forgetHistory(slot);\n    return this.main(slot) < revision;`,
    focus: { load: { compact: 20 } },
  },
  {
    name: "compaction forgets deletions that it owes to the store",
    trap: compaction,
    file: "src/mvcc/compaction.ts",
    find: `if (!rows.recent.drop(main, sub)) deletions.push(main, sub);`,
    replace: `rows.recent.drop(main, sub);`,
    focus: { load: { compact: 20 } },
  },
  {
    name: "a compacted revision can be read",
    trap: compaction,
    file: "src/mvcc/readView.ts",
    find: `    if (revision > 0 && revision < this.#state.compacted) return errCompacted;\n`,
    replace: ``,
    focus: { load: { compact: 20 } },
  },
  {
    name: "a deleted key comes back after a restart",
    trap: compaction,
    file: "src/mvcc/restore.ts",
    find: `      index.restoreTombstone(slot, main, sub);\n      leaseOf`,
    replace: `      leaseOf`,
  },
];

const log: readonly Mutant[] = [
  {
    name: "the log says that a save is durable before its sync",
    trap: "own",
    file: "src/storage/logFile.ts",
    find: `    this.#wait(done);\n    this.#startSync();\n    return false;`,
    replace: `    this.#startSync();\n    return true;`,
    focus: { disk: { log: "pooled" } },
  },
  {
    name: "a torn end of the log is accepted",
    trap: "own",
    file: "src/storage/replay.ts",
    find: `    if (this.#firstBadRecord(head) !== undefined) return false;\n`,
    replace: ``,
    focus: torn,
  },
  {
    name: "what lies behind a torn end comes back",
    trap: "own",
    file: "src/storage/replay.ts",
    find: `    return this.#expected === undefined || head.number === this.#expected;`,
    replace: `    return this.#expected === undefined || head.number >= this.#expected;`,
    // Nothing lies there where what was cut is cleared.
    also: {
      file: "src/storage/openLog.ts",
      find: `  zeroRest(active.file, recovered.tailOffset);\n`,
      replace: ``,
    },
    focus: torn,
  },
  {
    name: "a vote is kept like a commit, without a sync",
    trap: "own",
    file: "src/storage/logWrite.ts",
    find: `  return next.term === present.term && next.vote === present.vote;`,
    replace: `  return next.term === present.term || next.vote !== present.vote;`,
    // Raft says it too.
    also: {
      file: "src/storage/raftLog.ts",
      find: `    if (!mustSync && onlyCommitMoves(write`,
      replace: `    if (onlyCommitMoves(write`,
    },
    focus: { disk: { log: "pooled" } },
  },
  {
    name: "a segment is left before it is synced",
    trap: "own",
    file: "src/storage/logFile.ts",
    find: `    if (!this.syncNow()) return false;\n    const sequence`,
    replace: `    const sequence`,
    focus: { disk: { log: "pooled", syncUsMax: 60_000 } },
  },
];

export const storeMutants: readonly Mutant[] = [...state, ...log];
