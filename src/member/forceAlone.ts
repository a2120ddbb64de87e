// etcd's --force-new-cluster: writes into the log that all other members were removed, as if they had agreed.
import { assert } from "../base/assert.ts";
import { LogIndex, type MemberId, Term } from "../base/brand.ts";
import { emptyBytes } from "../base/bytes.ts";
import { encodeChange } from "../raft/membership.ts";
import type { RaftNode } from "../raft/node.ts";
import { changesToStandAlone } from "../raft/standAlone.ts";
import { type Entry, EntryKind } from "../raft/types.ts";
import { LogFault } from "../storage/log.ts";
import type { MemberPorts } from "./memberParts.ts";

/**
 * Changes the log, durably, so that the next raft over it has no peers. What the log holds stays and will be
 * committed: it may have been acknowledged, even where this member had not heard so.
 *
 * @param raft over the log as it is now; of no use afterwards.
 * @throws {LogFault} when the log has lost something: nobody would be left to refill it.
 * @throws {Error} when this is no member of any cluster that the log tells of.
 */
export function forceAlone(
  self: MemberId,
  { raftLog, log }: Pick<MemberPorts, "raftLog" | "log">,
  raft: RaftNode,
): void {
  const { refill } = raftLog.initialState();
  const lastIndex = raftLog.lastIndex();
  if (refill !== undefined) throw new LogFault({ kind: "alone", lastIndex, refill });
  const changes = changesToStandAlone(raft.latestMembership, self);
  if (typeof changes === "string") throw new NotForcedError(changes);
  if (changes.length === 0) return;
  if (raft.latestMembershipIndex === 0) throw new NotForcedError("the cluster has never begun");
  const { term: before, commit } = raft.status();
  const term = Term(before + 1);
  const entries = changes.map(
    (change, i): Entry => ({
      ...{ term, index: LogIndex(lastIndex + 1 + i), kind: EntryKind.membership },
      data: encodeChange(change, emptyBytes),
    }),
  );
  const isSaved = raftLog.save(
    { hardState: { term, vote: self, commit }, entries },
    true,
    () => {},
  );
  // The first write of a log is: later ones of a slow disk may be on their way.
  assert(isSaved, "the changes are durable before anything is built on them");
  log.warn("goes on without all other members", { self, removed: changes.length });
}

/** A line for the user. */
export class NotForcedError extends Error {
  override readonly name = "NotForcedError";

  constructor(why: string) {
    super(`--force-new-cluster cannot be done: ${why}`);
  }
}
