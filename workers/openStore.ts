// The store of one life of a member: in memory, or on disk if it has folders.
import type { Log } from "../src/base/ports.ts";
import type { ThreadGate } from "../src/base/threadGate.ts";
import { defaultMapBytes } from "../src/storage/lmdb.ts";
import { openLmdbHome } from "../src/storage/lmdbHome.ts";
import type { StoreOwner } from "../src/storage/lmdbOwner.ts";
import type { RaftLog } from "../src/storage/log.ts";
import { MemoryStoreHome } from "../src/storage/memoryHome.ts";
import type { StoreHome } from "../src/storage/storeHome.ts";

/** @throws {EngineFault} when the store is another's, cannot be opened, or is lost for good. */
export function openStore(parts: {
  /** Undefined: in memory. */
  readonly directory: string | undefined;
  readonly raftLog: RaftLog;
  readonly owner: StoreOwner;
  readonly log: Log;
  /** See storage/lmdb.ts. */
  readonly gate?: ThreadGate;
}): StoreHome {
  const { directory, raftLog, owner, log, gate } = parts;
  if (directory === undefined) {
    return new MemoryStoreHome({ defer: (run) => void setImmediate(run) });
  }
  const logBase = raftLog.base();
  const { voters } = raftLog.initialState().membership;
  // From the log alone, which reaches back to the beginning, or with another voter's help.
  const mayRebuild = logBase.index === 0 || voters.some((voter) => voter !== owner.memberId);
  const lastIndex = raftLog.lastIndex();
  const mapBytes = defaultMapBytes;
  const options = { directory, mapBytes, logBase, lastIndex, mayRebuild, owner, log };
  return openLmdbHome({ ...options, ...(gate && { gate }) });
}
