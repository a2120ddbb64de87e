// All rows in revision order, wherever they are: first the engine's, then the recent ones.
import { type Engine, Table } from "../storage/engine.ts";
import type { RecentRows } from "./recentRows.ts";
import { mainOfKey, revisionKeyBytes, subOfKey, writeKeyOf } from "./revision.ts";

/**
 * @param stored flag and row (see row.ts), borrowed: valid only within the call.
 * @returns false to stop.
 */
export type VisitRow = (main: number, sub: number, stored: Uint8Array) => boolean;

/**
 * Visits rows from `from` on. Compacted rows may or may not be there still; `visit` must not write to
 * the store nor read from it.
 */
export function visitHistory(
  source: { readonly engine: Engine; readonly recent: RecentRows },
  from: { readonly main: number; readonly sub: number },
  visit: VisitRow,
): void {
  const { engine, recent } = source;
  if (from.main < recent.first) {
    let stopped = false;
    const range = {
      table: Table.key,
      from: keyOf(from.main, from.sub),
      to: keyOf(recent.first, 0),
    };
    engine.scan(range, (key, stored) => {
      stopped = !visit(mainOfKey(key), subOfKey(key), stored);
      return !stopped;
    });
    if (stopped) return;
  }
  recent.visit(from, visit);
}

function keyOf(main: number, sub: number): Buffer {
  const key = Buffer.alloc(revisionKeyBytes);
  writeKeyOf(key, 0, main, sub);
  return key;
}
