// From options of a cluster to the bounds of its members' logs.
import type { CompactionBounds } from "../member/logCompaction.ts";

export function compactionOf(options: {
  readonly snapshotEntries?: number;
  readonly catchUpEntries?: number;
}): Partial<CompactionBounds> {
  const { snapshotEntries, catchUpEntries } = options;
  return {
    ...(snapshotEntries !== undefined && { snapshotEntries }),
    ...(catchUpEntries !== undefined && { catchUpEntries }),
  };
}
