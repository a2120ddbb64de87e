// Old entries from disk: one read for a run of neighbours, each checked again.
import type { Entry } from "../raft/types.ts";
import type { EntryIndex, Place } from "./entryIndex.ts";
import { LogFault } from "./log.ts";
import {
  entryOf,
  payloadPasses,
  type RecordHead,
  RecordType,
  readRecordHead,
  recordHeadBytes,
  viewOf,
} from "./record.ts";
import type { OpenSegment } from "./replay.ts";

/** A read is at least so long, unless the segment ends; neighbours come with it. */
const readBytes = 128 * 1024;

export class EntryReader {
  readonly #index: EntryIndex;
  readonly #segmentOf: (sequence: number) => OpenSegment;

  constructor(index: EntryIndex, segmentOf: (sequence: number) => OpenSegment) {
    this.#index = index;
    this.#segmentOf = segmentOf;
  }

  /**
   * Entries from `from` on that one read brings, at least one, below `to`. They share its memory.
   *
   * @throws {LogFault} damaged, when the disk no longer holds what was written.
   */
  read(from: number, to: number): Entry[] {
    const place = this.#index.place(from);
    const segment = this.#segmentOf(place.sequence);
    let bytes = readAt(segment, place.offset, readBytes);
    const first = readRecordHead(bytes, viewOf(bytes), 0, segment.seed);
    if (first && first.payloadBytes + recordHeadBytes > bytes.length) {
      bytes = readAt(segment, place.offset, first.payloadBytes + recordHeadBytes);
    }
    return this.#parse(bytes, segment, { from, to });
  }

  #parse(
    bytes: Uint8Array,
    segment: OpenSegment,
    range: { readonly from: number; readonly to: number },
  ): Entry[] {
    const view = viewOf(bytes);
    const start = this.#index.place(range.from);
    const entries: Entry[] = [];
    for (let index = range.from; index < range.to; index++) {
      const place = this.#index.place(index);
      const at = place.offset - start.offset;
      if (place.sequence !== start.sequence || at + recordHeadBytes > bytes.length) break;
      const head = readRecordHead(bytes, view, at, segment.seed);
      const end = at + recordHeadBytes + (head?.payloadBytes ?? 0);
      if (index > range.from && end > bytes.length) break;
      const term = this.#index.term(index);
      entries.push(checked({ bytes, at, head, segment, place, index, term }));
    }
    return entries;
  }
}

interface Found {
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly head: RecordHead | undefined;
  readonly segment: OpenSegment;
  readonly place: Place;
  readonly index: number;
  readonly term: number;
}

function checked({ bytes, at, head, segment, place, index, term }: Found): Entry {
  // Also against a record that strayed here: the same index may have been written in another term.
  const isEntry = head?.type === RecordType.entry && head.index === index && head.term === term;
  if (!isEntry || !payloadPasses(bytes, at, head, segment.seed)) {
    const file = segment.file.name;
    throw new LogFault({ kind: "damaged", file, offset: place.offset, index, term: head?.term });
  }
  const from = at + recordHeadBytes;
  return entryOf(head, bytes.subarray(from, from + head.payloadBytes));
}

function readAt(segment: OpenSegment, offset: number, count: number): Uint8Array {
  const bytes = new Uint8Array(Math.min(count, segment.file.bytes - offset));
  const got = segment.file.read(bytes, offset);
  return got === bytes.length ? bytes : bytes.subarray(0, got);
}
