// A member whose disk lost what it had acknowledged: it obeys and is refilled, but gives no vote until
// it holds all that it may have acknowledged (docs/decisions/0007).
import { LogIndex, type MemberId, Term } from "../base/brand.ts";
import type { Core } from "./core.ts";

/**
 * Does this log hold every committed entry that it acknowledged before the loss?
 *
 * 1. Committed up to the floor: what was acknowledged there is either among it or never committed.
 * 2. Or a committed entry of a later term than the floor's: its leader held all that was committed in
 *    the terms before (leader completeness), and up to that entry the two logs are equal.
 */
export function isRefilled({ refill, log }: Core): boolean {
  if (refill === undefined) return false;
  return log.commit >= refill.index || (log.term(log.commit) ?? 0) > refill.term;
}

/** @returns true once: the log has to be told. */
export function endRefill(core: Core): boolean {
  if (!isRefilled(core)) return false;
  core.refill = undefined;
  return true;
}

/**
 * A commit index from a leader that may count on what the disk lost. Only what this leader has been
 * shown to agree with may be committed: the log could still hold entries of before, in place of those
 * that it acknowledged. If there is more, the leader is told that it is wrong about this log; silence
 * could last as long as nobody writes.
 */
export function heedCommit(core: Core, from: MemberId, commit: LogIndex): void {
  const { log } = core;
  log.commitTo(LogIndex(Math.min(commit, core.acceptedIndex)));
  if (commit <= log.commit || commit <= core.acceptedIndex) return;
  core.sendAfterPersist({
    kind: "appendReply",
    from: core.id,
    to: from,
    term: core.term,
    rejected: true,
    index: commit,
    hintIndex: log.commit,
    hintTerm: log.term(log.commit) ?? Term(0),
  });
}
