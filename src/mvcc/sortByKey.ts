// Sorts a million keys at boot: bytes after the common prefix become one number each, sorted natively;
// groups that tie are sorted the same way by the bytes behind.
import type { KeyTable } from "./keyTable.ts";

/** Below this, comparing is faster. */
const groupMin = 24;
/** A byte is 0 to 255, and a key that ended ranks below all. */
const base = 257;

/** How a number of 53 bits is shared between bytes and the position in the group. */
interface Step {
  readonly bytes: number;
  readonly positions: number;
}
const smallStep: Step = { bytes: 4, positions: 2 ** 20 };
const largeStep: Step = { bytes: 3, positions: 2 ** 28 };

/** Sorts slots by their keys, in place. */
export function sortByKey(table: KeyTable, slots: Uint32Array): void {
  if (!isSorted(table, slots)) sortGroup(table, slots, 0);
}

function sortGroup(table: KeyTable, slots: Uint32Array, sharedBytes: number): void {
  if (slots.length < groupMin || slots.length > largeStep.positions) {
    slots.sort((a, b) => table.compare(a, table.span(b), sharedBytes));
    return;
  }
  const step = slots.length <= smallStep.positions ? smallStep : largeStep;
  const skip = commonPrefix(table, slots, sharedBytes);
  const ranks = new Float64Array(slots.length);
  for (let i = 0; i < slots.length; i++) {
    ranks[i] = table.rank(slots[i] ?? 0, skip, step.bytes, base) * step.positions + i;
  }
  ranks.sort();
  const before = slots.slice();
  let from = 0;
  let groupRank = -1;
  for (let i = 0; i < ranks.length; i++) {
    const packed = ranks[i] ?? 0;
    const rank = Math.floor(packed / step.positions);
    slots[i] = before[packed - rank * step.positions] ?? 0;
    if (rank === groupRank) continue;
    sortTies(table, slots, { from, to: i, skip });
    from = i;
    groupRank = rank;
  }
  sortTies(table, slots, { from, to: slots.length, skip });
}

function sortTies(
  table: KeyTable,
  slots: Uint32Array,
  { from, to, skip }: { from: number; to: number; skip: number },
): void {
  // Tied keys agree in all bytes of this step, so the next one starts behind them.
  if (to - from > 1) sortGroup(table, slots.subarray(from, to), skip);
}

/** Bytes that all keys share; at least `from` are known to be shared. */
function commonPrefix(table: KeyTable, slots: Uint32Array, from: number): number {
  const first = table.span(slots[0] ?? 0);
  let shared = first.to - first.from;
  for (const slot of slots) {
    table.compare(slot, first, from);
    if (table.shared < shared) shared = table.shared;
  }
  return shared;
}

function isSorted(table: KeyTable, slots: Uint32Array): boolean {
  for (let i = 1; i < slots.length; i++) {
    if (table.compare(slots[i - 1] ?? 0, table.span(slots[i] ?? 0), 0) > 0) return false;
  }
  return true;
}
