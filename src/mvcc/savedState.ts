// The store's record in Table.meta, written with every batch, so that rows and applied index agree:
//
//   0        1          9       17         25          33      41
//   | u8 = 1 | applied  | term  | revision | compacted | swept | digest |    safe integers as f64 BE
import { assert } from "../base/assert.ts";
import { LogIndex, Term } from "../base/brand.ts";

export interface Applied {
  readonly index: LogIndex;
  readonly term: Term;
}

export interface SavedState {
  readonly applied: Applied;
  readonly revision: number;
  /** -1: never. */
  readonly compacted: number;
  /** -1: never. */
  readonly swept: number;
  readonly digest: number;
}

export const savedStateKey: Uint8Array = Buffer.from("store", "latin1");
export const freshState: SavedState = {
  applied: { index: LogIndex(0), term: Term(0) },
  revision: 1,
  compacted: -1,
  swept: -1,
  digest: 0,
};

const formatVersion = 1;
const savedBytes = 49;

export function encodeSavedState(state: SavedState): Buffer {
  const bytes = Buffer.allocUnsafeSlow(savedBytes);
  bytes[0] = formatVersion;
  bytes.writeDoubleBE(state.applied.index, 1);
  bytes.writeDoubleBE(state.applied.term, 9);
  bytes.writeDoubleBE(state.revision, 17);
  bytes.writeDoubleBE(state.compacted, 25);
  bytes.writeDoubleBE(state.swept, 33);
  bytes.writeDoubleBE(state.digest, 41);
  return bytes;
}

/** @throws {Mistake} for a store of another format. */
export function decodeSavedState(bytes: Uint8Array): SavedState {
  assert(
    bytes.length === savedBytes && bytes[0] === formatVersion,
    `unknown store format ${bytes[0]}`,
  );
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    applied: { index: LogIndex(view.getFloat64(1)), term: Term(view.getFloat64(9)) },
    revision: view.getFloat64(17),
    compacted: view.getFloat64(25),
    swept: view.getFloat64(33),
    digest: view.getFloat64(41),
  };
}
