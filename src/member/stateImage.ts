// The whole state of a member at one moment: pinned rows, and what raft has to know of them.
import { decodeSavedState, savedStateKey } from "../mvcc/savedState.ts";
import type { RaftNode } from "../raft/node.ts";
import type { SnapshotMeta } from "../raft/types.ts";
import { type Engine, type PinnedRows, Table } from "../storage/engine.ts";

/** Rows, and the entry up to which they are the state; the holder closes them. */
export interface StateImage {
  readonly meta: SnapshotMeta;
  readonly rows: PinnedRows;
}

/**
 * Index and term are those that lie among the pinned rows: a batch may be in the engine before its
 * writer has heard of it.
 *
 * @returns undefined while nothing was written yet.
 */
export function takeImage(
  engine: Engine,
  raft: Pick<RaftNode, "membershipAt">,
): StateImage | undefined {
  const rows = engine.pin();
  const bytes = rows.get(Table.meta, savedStateKey);
  const applied = bytes && decodeSavedState(bytes).applied;
  const membership = applied && raft.membershipAt(applied.index);
  if (applied === undefined || membership === undefined || applied.index === 0) {
    rows.close();
    return undefined;
  }
  return { meta: { ...applied, membership }, rows };
}
