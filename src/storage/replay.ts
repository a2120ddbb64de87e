// Recovery: reads all segments in order, and tells a torn tail from damage.
//
// What is torn and what is damaged. Batches are numbered and written one behind the other; a sync
// covers all before it, and nothing is acknowledged before its sync. Each batch says which batch was
// the last known to be synced when it was built. At the first batch N that is not whole:
//  1. Some later batch whose head passes says "synced" of N or beyond. That head was built after N
//     had been synced, and possibly acknowledged. A crash cannot undo that: N is damaged.
//  2. No such batch. If the disk keeps what it synced, N was not synced (or it would be whole), so N
//     and everything behind it was never acknowledged: cut at N. Whole batches behind N do not
//     matter: several unsynced batches may land in any order, sector by sector.
// Only heads are asked in step 1, as a head alone proves it; they are found at any sector, since the
// length of a broken N cannot be trusted. Client data never passes for a head: the checksum seed
// comes from a secret salt of the segment.
// What this cannot tell: N was synced, nothing was written after it, and it rotted. The log therefore
// writes an empty batch behind the last one when it is opened and when it is closed; open to doubt is
// only the last group before a crash. What was cut is reported.
// A vote that was lost could be given twice, so each is written in two batches (raftLog.ts), and when a
// tail is cut, the newest head behind the cut still says for whom this member may have voted.
// What damage hides is told the same way: the newest head says what the log had come to, docs/decisions
// 0007 what becomes of it.
// A segment is synced before the next one is written to, so heads of later segments prove the end of
// earlier ones, and the unused rest of a segment is no gap.
import { LogIndex, noMember, Term } from "../base/brand.ts";
import type { RefillFloor, SnapshotMeta } from "../raft/types.ts";
import { LogFault, type LogTrouble } from "./log.ts";
import type { SegmentFile } from "./logDisk.ts";
import { LogState } from "./logState.ts";
import {
  type BatchHead,
  batchHeadBytes,
  type LogSummary,
  padTo8,
  padToSector,
  payloadPasses,
  type RecordHead,
  RecordType,
  readBatchHead,
  readMembership,
  readRecordHead,
  readVote,
  recordHeadBytes,
  sectorBytes,
  viewOf,
} from "./record.ts";
import { segmentHeadBytes } from "./segment.ts";
import { SegmentWindow } from "./segmentWindow.ts";

/** A segment with a good head. */
export interface OpenSegment {
  readonly sequence: number;
  readonly file: SegmentFile;
  readonly seed: number;
}

export interface Recovered {
  readonly state: LogState;
  /** Position in `segments` of the one that holds the tail. */
  readonly tail: number;
  /** Where the next batch belongs in the tail's segment. */
  readonly tailOffset: number;
  /** Number of the next batch. */
  readonly nextNumber: number;
  /** True when not a single whole batch was found. */
  readonly isEmpty: boolean;
  /** A batch that was begun but never synced lies at the tail. */
  readonly torn: boolean;
  /** What was acknowledged is missing. The rest of this is the log as it was before that. */
  readonly damage?: Damage | undefined;
}

export interface Damage {
  readonly trouble: LogTrouble;
  /** What the log had come to; undefined when nothing is left that says so. */
  readonly summary: LogSummary | undefined;
}

/**
 * @param segments of consecutive sequences, at least one.
 * @throws {LogFault} when whole records contradict each other, or io when reading fails.
 */
export function replay(segments: readonly OpenSegment[], emptyBase: SnapshotMeta): Recovered {
  const walk = new Walk(segments, emptyBase);
  walk.run();
  return walk.result();
}

class Walk {
  readonly #segments: readonly OpenSegment[];
  readonly #state: LogState;
  #at: OpenSegment;
  #position = 0;
  readonly #window: SegmentWindow;
  #offset = segmentHeadBytes;
  /** Undefined before the first batch: the first segment may start with any. */
  #expected: number | undefined;
  #torn = false;
  /** Of the last whole batch. */
  #summary: LogSummary | undefined;
  #damage: Damage | undefined;

  constructor(segments: readonly OpenSegment[], emptyBase: SnapshotMeta) {
    this.#segments = segments;
    this.#state = new LogState(emptyBase);
    this.#at = segmentAt(segments, 0);
    this.#window = new SegmentWindow(this.#at.file);
  }

  run(): void {
    for (;;) {
      if (this.#takeBatch()) continue;
      if (this.#nextSegmentContinues()) continue;
      this.#judgeTail();
      break;
    }
    const hole = this.#state.hole() ?? this.#missingEnd();
    if (hole !== undefined) this.#beginAnew(hole);
    this.#clipCommit();
  }

  /** The newest segments may hold no entry at all, and yet say that there were some. */
  #missingEnd(): number | undefined {
    const { lastIndex } = this.#state;
    const { last } = this.#state.summary();
    return this.#summary === undefined || last.index === this.#summary.last.index
      ? undefined
      : lastIndex + 1;
  }

  // Segments at the beginning are missing: nothing of the log can be used.
  #beginAnew(hole: number): void {
    const first = segmentAt(this.#segments, 0);
    const trouble = { kind: "gap", file: first.file.name, index: hole } as const;
    const summary = this.#damage?.summary ?? this.#summary ?? this.#state.summary();
    this.#damage = { trouble, summary };
    this.#state.reset(this.#state.base);
    this.#position = 0;
    this.#at = first;
    this.#offset = segmentHeadBytes;
    this.#torn = false;
  }

  result(): Recovered {
    return {
      state: this.#state,
      tail: this.#position,
      tailOffset: this.#offset,
      nextNumber: this.#expected ?? 1,
      isEmpty: this.#expected === undefined,
      torn: this.#torn,
      damage: this.#damage,
    };
  }

  // Applies the batch at the current offset if it is whole and the one expected.
  #takeBatch(): boolean {
    const head = this.#headAt(this.#offset);
    if (head === undefined || !this.#isExpected(head)) return false;
    if (this.#firstBadRecord(head) !== undefined) return false;
    this.#applyBatch(head);
    this.#summary = head.summary;
    this.#expected = head.number + 1;
    this.#offset += padToSector(head.bytes);
    return true;
  }

  #isExpected(head: BatchHead): boolean {
    return this.#expected === undefined || head.number === this.#expected;
  }

  #headAt(offset: number): BatchHead | undefined {
    const window = this.#window;
    if (!window.cover(offset, batchHeadBytes)) return undefined;
    return readBatchHead(window.bytes, window.view, offset - window.offset, this.#at.seed);
  }

  /** Offset of the first record that is not whole; undefined when all are. */
  #firstBadRecord(head: BatchHead): number | undefined {
    const window = this.#window;
    const start = this.#offset;
    if (!window.cover(start, head.bytes)) return start;
    const { bytes, view, offset } = window;
    const { seed } = this.#at;
    const to = start + head.bytes;
    let at = start + batchHeadBytes;
    let last: RecordHead | undefined;
    for (let i = 0; i < head.recordCount; i++) {
      const record = readRecordHead(bytes, view, at - offset, seed);
      if (record === undefined || !payloadPasses(bytes, at - offset, record, seed)) return at;
      if (!belongs(record, last, head)) return at;
      if (record.type === RecordType.entry) last = record;
      at += recordHeadBytes + padTo8(record.payloadBytes);
      if (at > to) return at;
    }
    return last === undefined || endsAsSaid(last, head) ? undefined : start + batchHeadBytes;
  }

  #applyBatch(head: BatchHead): void {
    const { bytes, view, offset } = this.#window;
    let at = this.#offset + batchHeadBytes;
    for (let i = 0; i < head.recordCount; i++) {
      const record = readRecordHead(bytes, view, at - offset, this.#at.seed);
      if (record === undefined) return;
      this.#applyRecord(record, at, at - offset);
      at += recordHeadBytes + padTo8(record.payloadBytes);
    }
  }

  #applyRecord(record: RecordHead, offset: number, inWindow: number): void {
    switch (record.type) {
      case RecordType.entry:
        this.#applyEntry(record, offset);
        break;
      case RecordType.hardState:
        this.#applyHardState(record, inWindow);
        break;
      case RecordType.snapshot:
        this.#state.reset(this.#metaOf(record, inWindow));
        break;
      case RecordType.refill:
        this.#state.refill = record.index === 0 ? undefined : floorOf(record);
        break;
      case RecordType.base:
        this.#state.trim(this.#metaOf(record, inWindow));
        break;
      default:
        // Whole, but unknown: a later minor version would have raised the format version.
        throw new LogFault({ kind: "damaged", file: this.#at.file.name, offset });
    }
  }

  #applyEntry(record: RecordHead, offset: number): void {
    const place = { sequence: this.#at.sequence, offset };
    const refusal = this.#state.append(record.index, record.term, place);
    if (refusal === undefined) return;
    throw new LogFault({ kind: refusal, file: this.#at.file.name, index: record.index });
  }

  #applyHardState(record: RecordHead, inWindow: number): void {
    const vote = readVote(this.#window.view, inWindow);
    const term = Term(record.term);
    this.#state.hardState = { term, vote, commit: LogIndex(record.index) };
  }

  #metaOf(record: RecordHead, inWindow: number): SnapshotMeta {
    const membership = readMembership(this.#window.view, inWindow);
    return { index: LogIndex(record.index), term: Term(record.term), membership };
  }

  // The segment was full: the expected batch is the first of the next one.
  #nextSegmentContinues(): boolean {
    const next = this.#segments[this.#position + 1];
    if (next === undefined || this.#expected === undefined) return false;
    const first = new Uint8Array(batchHeadBytes);
    if (next.file.read(first, segmentHeadBytes) < batchHeadBytes) return false;
    const head = readBatchHead(first, viewOf(first), 0, next.seed);
    if (head === undefined || head.number !== this.#expected) return false;
    this.#position++;
    this.#at = next;
    this.#window.turnTo(next.file);
    this.#offset = segmentHeadBytes;
    return true;
  }

  // The rule in the comment above this file.
  #judgeTail(): void {
    const expected = this.#expected ?? 1;
    const behind = this.#lookBehind();
    // Older segments go only after a batch in a newer one was synced: the first one is never torn.
    const neverTorn = this.#expected === undefined && this.#at.sequence > 1;
    if (neverTorn || behind.synced >= expected) {
      this.#damage = { trouble: this.#describeDamage(), summary: behind.newest?.summary };
      return;
    }
    this.#torn = this.#beginsBatch();
    if (behind.newest !== undefined && behind.newest.number >= expected) {
      this.#keepPromise(behind.newest.summary);
    }
  }

  // A vote on its way may be kept, though nobody waits for it; one that was given must be.
  #keepPromise({ term, vote }: LogSummary): void {
    const { hardState } = this.#state;
    const isNewer =
      term > hardState.term || (term === hardState.term && hardState.vote === noMember);
    if (isNewer) this.#state.hardState = { ...hardState, term, vote };
  }

  /** What heads from here on say, whole batches or not. */
  #lookBehind(): Behind {
    const behind: Behind = { synced: 0, newest: undefined };
    for (let i = this.#position; i < this.#segments.length; i++) {
      const segment = segmentAt(this.#segments, i);
      const from = i === this.#position ? this.#offset : segmentHeadBytes;
      const window = i === this.#position ? this.#window : new SegmentWindow(segment.file);
      lookThrough(segment, window, from, behind);
    }
    return behind;
  }

  #beginsBatch(): boolean {
    const window = this.#window;
    const count = Math.min(sectorBytes, this.#at.file.bytes - this.#offset);
    if (count === 0 || !window.cover(this.#offset, count)) return false;
    const from = this.#offset - window.offset;
    return window.bytes.subarray(from, from + count).some((byte) => byte !== 0);
  }

  #describeDamage(): LogTrouble {
    const file = this.#at.file.name;
    const head = this.#headAt(this.#offset);
    const offset =
      head !== undefined && this.#isExpected(head)
        ? (this.#firstBadRecord(head) ?? this.#offset)
        : this.#offset;
    const record = this.#identityNear(offset);
    const identity = record ? { index: record.index, term: record.term } : {};
    const index = this.#state.lastIndex;
    const saved = { index, term: this.#state.term(index) ?? 0 };
    return { kind: "damaged", file, offset, ...identity, saved };
  }

  // The entry's identity at `offset`, or behind the head of the batch there.
  #identityNear(offset: number): RecordHead | undefined {
    for (const at of [offset, offset + batchHeadBytes]) {
      const window = this.#window;
      if (!window.cover(at, recordHeadBytes)) continue;
      const { bytes, view } = window;
      const record = readRecordHead(bytes, view, at - window.offset, this.#at.seed);
      if (record?.type === RecordType.entry) return record;
    }
    return undefined;
  }

  // A commit may have been written ahead of entries that the crash took; the base is committed.
  #clipCommit(): void {
    const { hardState, base, lastIndex } = this.#state;
    const commit = LogIndex(Math.max(base.index, Math.min(hardState.commit, lastIndex)));
    this.#state.hardState = { ...hardState, commit };
  }
}

// A write that went astray leaves records that pass, of another place in the segment. What the head says
// of the log behind its batch gives away every one of them.
function belongs(record: RecordHead, last: RecordHead | undefined, head: BatchHead): boolean {
  switch (record.type) {
    case RecordType.entry:
      return last === undefined || record.index === last.index + 1;
    case RecordType.hardState:
      return record.term === head.summary.term;
    default:
      return true;
  }
}

function endsAsSaid({ index, term }: RecordHead, { summary }: BatchHead): boolean {
  const { last, isRefilling } = summary;
  // Within a refill the floor may lie higher; what is above it must fit all the same.
  return isRefilling ? index <= last.index : index === last.index && term === last.term;
}

interface Behind {
  /** Highest batch that some head knows to be synced. */
  synced: number;
  newest: BatchHead | undefined;
}

function lookThrough(
  segment: OpenSegment,
  window: SegmentWindow,
  from: number,
  behind: Behind,
): void {
  const last = segment.file.bytes - batchHeadBytes;
  for (let offset = from; offset <= last; offset += sectorBytes) {
    if (!window.cover(offset, batchHeadBytes)) return;
    const head = readBatchHead(window.bytes, window.view, offset - window.offset, segment.seed);
    if (head === undefined) continue;
    behind.synced = Math.max(behind.synced, head.synced);
    if (head.number > (behind.newest?.number ?? 0)) behind.newest = head;
  }
}

const floorOf = ({ index, term }: RecordHead): RefillFloor => {
  return { index: LogIndex(index), term: Term(term) };
};

function segmentAt(segments: readonly OpenSegment[], position: number): OpenSegment {
  const segment = segments[position];
  if (segment === undefined) throw new LogFault({ kind: "missing" });
  return segment;
}
