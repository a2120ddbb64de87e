// Linearizability of the whole store by a witness: the order that the revisions suggest. Revisions are
// only believed to have been drawn in some order; whether that order explains every answer and respects
// real time is checked here from calls, returns and values alone. A witness that holds is a proof, found
// without a search; without one the search of each key (registers.ts) has the word.
import { describeOperation, type Operation } from "../operation.ts";

/** What an operation found and did, of all keys at once. */
export interface StoreCall {
  readonly op: Operation;
  /** Place in the order; of one place first what made the revision, then the others by calls. */
  readonly revision: number;
  readonly madeRevision: boolean;
  readonly found: ReadonlyMap<string, string | undefined>;
  readonly wrote: ReadonlyMap<string, string | undefined>;
}

/** @returns why the order by revisions explains nothing; undefined when it is a witness. */
export function orderFault(calls: readonly StoreCall[]): string | undefined {
  const store = new Map<string, string | undefined>();
  let callUsMax = 0;
  for (const { op, found, wrote } of [...calls].sort(compareCalls)) {
    if (op.returnUs < callUsMax)
      return `${describeOperation(op)} ended before one placed before it`;
    callUsMax = Math.max(callUsMax, op.callUs);
    for (const [key, value] of found) {
      if (store.get(key) !== value) return `${describeOperation(op)} finds another ${key}`;
    }
    for (const [key, value] of wrote) store.set(key, value);
  }
  return undefined;
}

function compareCalls(a: StoreCall, b: StoreCall): number {
  if (a.revision !== b.revision) return a.revision - b.revision;
  const makerFirst = Number(b.madeRevision) - Number(a.madeRevision);
  return makerFirst || a.op.callUs - b.op.callUs || a.op.id - b.op.id;
}
