// Operations on a store since it was opened; for metrics, which alone read them.

export class StoreCounters {
  ranges = 0;
  puts = 0;
  /** Deletions asked for, however many keys each took. */
  deletes = 0;
  /** Transactions of more than one change. */
  txns = 0;
  /** Keys and values of all puts. */
  putBytes = 0;
  /** Rows that compactions removed. */
  compactedRows = 0;
}
