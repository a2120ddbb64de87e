// All rows of a table, read from the file while nobody writes: pages that the newest state reaches are then
// as they are. A start has read and checked all of them before (lmdbCheck.ts), so what is wrong here went
// wrong since.
import fs from "node:fs";
import type { Table } from "./engine.ts";
import { LmdbTrees, type VisitRow } from "./lmdbTree.ts";

/**
 * Visits the rows of `table` in key order.
 *
 * @param from.isChecked their checksums are known to be right.
 * @param visit returns false to stop.
 * @throws {EngineFault} damaged.
 */
export function scanLmdbFile(
  file: string,
  from: { readonly table: Table; readonly isChecked: boolean },
  visit: VisitRow,
): void {
  const fd = fs.openSync(file, "r");
  try {
    new LmdbTrees(fd).rows(from.table, from).next(visit);
  } finally {
    fs.closeSync(fd);
  }
}
