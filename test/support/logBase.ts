// How far back the log of a member reaches that is down: told by its files.
import assert from "node:assert/strict";
import { join } from "node:path";
import { MemberId } from "../../src/base/brand.ts";
import { silentLog } from "../../src/base/ports.ts";
import { systemClock } from "../../src/base/system.ts";
import { inspectDataDir, memberDirectory } from "../../src/storage/dataDir.ts";
import { FsLogDisk } from "../../src/storage/diskFs.ts";
import { openRaftLog } from "../../src/storage/raftLog.ts";

/** @returns the last entry that the log no longer holds; 0 while it reaches back to the beginning. */
export async function logBase(dataDir: string, id: bigint): Promise<number> {
  const state = await inspectDataDir(dataDir);
  assert.ok(state.kind === "ours", `${dataDir} holds no member`);
  const log = openRaftLog({
    disk: new FsLogDisk(join(memberDirectory(dataDir, MemberId(id)), "log")),
    clock: systemClock,
    log: silentLog,
    owner: { clusterId: state.marker.clusterId, memberId: MemberId(id) },
    salt: () => 0n,
    defer: (run) => void setImmediate(run),
    segmentBytesMax: 16 << 20,
    sync: "inline",
    membership: { voters: [], outgoing: [], learners: [] },
    mayCreate: false,
    mayRefill: false,
    recentBytesMax: 0,
  });
  const { index } = log.base();
  log.close();
  return index;
}
