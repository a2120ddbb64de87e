// What every engine demands of a batch, whatever it stores it in.
import { unreachable } from "../base/assert.ts";
import type { EngineBatch } from "./engine.ts";

/** LMDB's bound; longer keys are for the caller to split or hash. */
export const engineKeyBytesMax = 511;

/** @throws {Mistake} for an empty or too long key. */
export function checkBatch(batch: EngineBatch): void {
  for (const { key } of batch.puts) checkKey(key);
  for (const { key } of batch.deletes) checkKey(key);
}

function checkKey(key: Uint8Array): void {
  // The text is made only when it is needed: this runs for every row.
  if (key.length === 0 || key.length > engineKeyBytesMax) {
    unreachable(`an engine key of ${key.length} bytes`);
  }
}
