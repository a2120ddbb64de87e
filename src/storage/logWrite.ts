// What every log demands of a save, whatever it is stored on.
import { assert } from "../base/assert.ts";
import { LogIndex } from "../base/brand.ts";
import type { HardState, LogReader } from "../raft/types.ts";
import type { LogWrite } from "./log.ts";

/** @throws {Mistake} unless the entries follow from the log, or from the snapshot that comes first. */
export function checkEntries(write: LogWrite, log: LogReader): void {
  const first = write.entries[0];
  if (first === undefined) return;
  const base = write.snapshot;
  const low = base ? base.index + 1 : log.firstIndex();
  const high = base ? base.index + 1 : log.lastIndex() + 1;
  assert(
    first.index >= low && first.index <= high,
    `entry ${first.index} does not follow a log of [${low}, ${high})`,
  );
  let index: number = first.index;
  let term: number = (base ? base.term : log.term(LogIndex(index - 1))) ?? 0;
  for (const entry of write.entries) {
    assert(entry.index === index, `entry ${entry.index} where ${index} is due`);
    assert(entry.term >= term, `term ${entry.term} behind term ${term} at ${index}`);
    index++;
    term = entry.term;
  }
}

/** True when the save may be lost by a crash: nothing but `commit` differs from `present`. */
export function onlyCommitMoves(write: LogWrite, present: HardState): boolean {
  if (write.snapshot || write.refilled || write.entries.length > 0) return false;
  const next = write.hardState ?? present;
  return next.term === present.term && next.vote === present.vote;
}
