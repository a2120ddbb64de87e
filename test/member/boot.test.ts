// A member begins only where its log and its store meet.
import assert from "node:assert/strict";
import test from "node:test";
import { LogIndex, MemberId, Term } from "../../src/base/brand.ts";
import { silentLog } from "../../src/base/ports.ts";
import { Prng } from "../../src/base/prng.ts";
import { bootMember } from "../../src/member/boot.ts";
import { defaultTiming } from "../../src/member/events.ts";
import type { Member } from "../../src/member/member.ts";
import { encodeSavedState, freshState, savedStateKey } from "../../src/mvcc/savedState.ts";
import { type Entry, EntryKind } from "../../src/raft/types.ts";
import { Table } from "../../src/storage/engine.ts";
import { LogFault } from "../../src/storage/log.ts";
import { MemoryEngine } from "../../src/storage/memory.ts";
import { MemoryStoreHome } from "../../src/storage/memoryHome.ts";
import { MemoryLog } from "../../src/storage/memoryLog.ts";

const id = MemberId(1n);
const membership = { voters: [id], outgoing: [], learners: [] };

/** A log of entries (compacted, last]. */
function logOf({ compacted, last }: { compacted: number; last: number }): MemoryLog {
  const log = new MemoryLog({ membership });
  const entries: Entry[] = [];
  for (let i = 1; i <= last; i++) {
    const data = new Uint8Array(0);
    entries.push({ term: Term(1), index: LogIndex(i), kind: EntryKind.barrier, data });
  }
  log.save({ entries }, true, () => assert.fail("it is durable at once"));
  log.compact(LogIndex(compacted), membership);
  return log;
}

function storeAt(applied: number): MemoryEngine {
  const deferred: (() => void)[] = [];
  const engine = new MemoryEngine({ defer: (run) => void deferred.push(run) });
  if (applied === 0) return engine;
  const saved = { ...freshState, applied: { index: LogIndex(applied), term: Term(1) } };
  const row = { table: Table.meta, key: savedStateKey, value: encodeSavedState(saved) };
  engine.submit({ puts: [row], deletes: [] }, (error) => assert.equal(error, undefined));
  for (const run of deferred) run();
  return engine;
}

function boot(raftLog: MemoryLog, engine: MemoryEngine): Member {
  const config = { clusterId: 9n, id, incarnation: 1, timing: defaultTiming, members: [] };
  return bootMember(config, {
    clock: { nowMs: () => 0 },
    random: new Prng(1),
    log: silentLog,
    link: {
      send: () => {},
      sendBulk: () => false,
      onFrame: undefined,
      connected: () => false,
      close: () => {},
    },
    raftLog,
    home: new MemoryStoreHome({ defer: (run) => run() }, engine),
    requestTurn: () => {},
    fail: (error) => assert.fail(error),
  });
}

test("a member without others leads at once, not after an election timeout", () => {
  const member = boot(logOf({ compacted: 0, last: 3 }), storeAt(0));
  // No tick in between.
  for (let turns = 0; turns < 4; turns++) member.turn();
  assert.equal(member.status().role, "leader");
});

const rows = [
  { compacted: 0, last: 9, applied: 0, why: "the store is new: all of it comes from the log" },
  { compacted: 4, last: 9, applied: 4, why: "the log begins right behind the store" },
  { compacted: 4, last: 9, applied: 9, why: "the store holds the whole log" },
  { compacted: 0, last: 9, applied: 10, lost: /log has lost.*ends at 9.*holds entry 10/ },
  { compacted: 4, last: 9, applied: 3, lost: /store has lost.*ends at 3.*begins at 5/ },
  { compacted: 4, last: 9, applied: 0, lost: /store has lost.*ends at 0.*begins at 5/ },
];

for (const { compacted, last, applied, why, lost } of rows) {
  test(`log (${compacted}, ${last}], store at ${applied}: ${why ?? lost?.source}`, () => {
    const run = (): Member => boot(logOf({ compacted, last }), storeAt(applied));
    if (lost === undefined) {
      assert.equal(run().status().applied, applied);
      return;
    }
    assert.throws(run, (error: unknown) => {
      assert.ok(error instanceof LogFault, "a fault of the disk, not a mistake of ours");
      assert.equal(error.trouble.kind, "unlikeStore");
      assert.match(error.message, lost);
      return true;
    });
  });
}
