// A change of one key, encoded at most once with and once without the pair before it.
import { rowCreateRevision } from "../mvcc/row.ts";

/** Encodes an event as it stands in an answer, with the tag of its field. */
export type EncodeEvent = (
  kind: "put" | "delete",
  row: Uint8Array,
  prevRow: Uint8Array | undefined,
) => Uint8Array;

/** The row of `key` (latin1) at a revision; undefined when there was none, or when it is compacted. */
export type ReadRow = (key: string, revision: number) => Uint8Array | undefined;

export interface EventCoding {
  readonly encode: EncodeEvent;
  readonly readRow: ReadRow;
}

export class WatchEvent {
  readonly revision: number;
  readonly kind: "put" | "delete";
  /** latin1, one char per byte. */
  readonly key: string;
  /** Encoded mvccpb.KeyValue; nobody writes to it any more. */
  readonly row: Uint8Array;
  #plain: Uint8Array | undefined;
  #withPrev: Uint8Array | undefined;

  constructor(parts: {
    readonly revision: number;
    readonly kind: "put" | "delete";
    readonly key: string;
    readonly row: Uint8Array;
  }) {
    this.revision = parts.revision;
    this.kind = parts.kind;
    this.key = parts.key;
    this.row = parts.row;
  }

  /** @param prevKv whether to put in the pair before, where there was one. */
  encoded(prevKv: boolean, coding: EventCoding): Uint8Array {
    if (prevKv) {
      this.#withPrev ??= this.#encodeWithPrev(coding);
      return this.#withPrev;
    }
    this.#plain ??= coding.encode(this.kind, this.row, undefined);
    return this.#plain;
  }

  #encodeWithPrev(coding: EventCoding): Uint8Array {
    const creation = this.kind === "put" && rowCreateRevision(this.row) === this.revision;
    const prevRow = creation ? undefined : coding.readRow(this.key, this.revision - 1);
    if (prevRow === undefined) return this.encoded(false, coding);
    return coding.encode(this.kind, this.row, prevRow);
  }
}
