// When a round may begin while others are on their way. Near members answer before this comes to matter; far
// ones are not waited for, but what is little compared with what is on its way waits a little.

/** Shortest time between two rounds that overlap: about what one takes between near members. */
export const overlapMsMin = 1;
/** What is at least this share of what is under way goes after that time ... */
const largeShare = 0.5;
/** ... and what is less in proportion later: a tenth after 20 ms. */
const smallShareMs = 2;

/** @returns how long after the beginning of the last round `waiting` may begin another. */
export function overlapsAfterMs(waitingBytes: number, underWayBytes: number): number {
  if (waitingBytes >= largeShare * underWayBytes) return overlapMsMin;
  return (smallShareMs * underWayBytes) / waitingBytes;
}
