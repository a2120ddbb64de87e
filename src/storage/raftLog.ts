// The log of one member on disk: one batch per save, an index in memory, recovery when opened.
import { assert, unreachable } from "../base/assert.ts";
import { LogIndex, type Term } from "../base/brand.ts";
import type { Entry, InitialState, Membership, RefillFloor, SnapshotMeta } from "../raft/types.ts";
import { EntryReader } from "./entryReader.ts";
import type { LogFault, LogWrite, RaftLog } from "./log.ts";
import { LogFile } from "./logFile.ts";
import { higherFloor, type LogState } from "./logState.ts";
import { checkEntries, onlyCommitMoves } from "./logWrite.ts";
import { openLog, type RaftLogOptions } from "./openLog.ts";
import { RecentEntries } from "./recentEntries.ts";
import {
  BatchBuilder,
  baseRecordBytes,
  batchHeadBytes,
  entryRecordBytes,
  hardStateRecordBytes,
  type LogSummary,
  padToSector,
  RecordType,
  refillRecordBytes,
} from "./record.ts";
import { finishSettingAside } from "./refillLog.ts";
import type { OpenSegment, Recovered } from "./replay.ts";

/**
 * Opens the log in `options.disk`, or makes it.
 *
 * @throws {LogFault} when it cannot be trusted, or cannot be written to.
 */
export function openRaftLog(options: RaftLogOptions): DiskRaftLog {
  const { segments, recovered } = openLog(options);
  const log = new DiskRaftLog(options, segments, recovered);
  const fault = log.fault();
  if (fault === undefined) {
    finishSettingAside(options.disk);
    return log;
  }
  log.close();
  throw fault;
}

type Done = (error?: Error) => void;

export class DiskRaftLog implements RaftLog {
  readonly #state: LogState;
  readonly #file: LogFile;
  readonly #batch = new BatchBuilder();
  readonly #recent: RecentEntries;
  readonly #reader: EntryReader;
  /** A hard state that only moved `commit` is held back until something else is written. */
  #heldHardState = false;
  /** True when recovery cut a write that was never acknowledged. */
  readonly tornTail: boolean;

  /** Use `openRaftLog`. */
  constructor(options: RaftLogOptions, segments: readonly OpenSegment[], recovered: Recovered) {
    const { state, nextNumber, tailOffset } = recovered;
    this.#state = state;
    this.tornTail = recovered.torn;
    this.#file = new LogFile(options, { segments, nextNumber, offset: tailOffset });
    this.#recent = new RecentEntries(options.recentBytesMax);
    this.#reader = new EntryReader(state.entries, (sequence) => this.#segment(sequence));
    this.#sealTail();
  }

  initialState(): InitialState {
    const { hardState, base, refill } = this.#state;
    return { hardState, membership: base.membership, refill };
  }

  base(): SnapshotMeta {
    return this.#state.base;
  }

  firstIndex(): LogIndex {
    return LogIndex(this.#state.base.index + 1);
  }

  lastIndex(): LogIndex {
    return LogIndex(this.#state.lastIndex);
  }

  term(index: LogIndex): Term | undefined {
    return this.#state.term(index);
  }

  entries(range: { from: LogIndex; to: LogIndex; bytesMax: number }): readonly Entry[] {
    const { from, to, bytesMax } = range;
    const inside = from >= this.firstIndex() && from <= to && to <= this.#state.lastIndex + 1;
    assert(inside, `entries [${from}, ${to}) are not in the log`);
    const found: Entry[] = [];
    let bytes = 0;
    for (let index: number = from; index < to; ) {
      for (const entry of this.#read(index, to)) {
        bytes += entry.data.length;
        if (found.length > 0 && bytes > bytesMax) return found;
        found.push(entry);
        index++;
      }
    }
    return found;
  }

  visitSizes(visit: (index: number, bytes: number) => void): void {
    this.#state.entries.visitSizes(visit);
  }

  save(write: LogWrite, mustSync: boolean, done: Done): boolean {
    checkEntries(write, this);
    if (!mustSync && onlyCommitMoves(write, this.#state.hardState)) return this.#hold(write, done);
    this.#append(write);
    // The segments that a snapshot replaces may go only when it is durable.
    if (write.snapshot && this.#file.syncNow()) this.#dropSpent();
    return this.#file.sync(done);
  }

  compact(index: LogIndex, membership: Membership): void {
    if (index <= this.#state.base.index) return;
    const term = this.#state.term(index);
    assert(term !== undefined, `compaction up to ${index}, beyond the last entry`);
    const base = { index, term, membership };
    this.#begin(baseRecordBytes(base) + hardStateRecordBytes);
    this.#batch.addBase(RecordType.base, base);
    this.#batch.addHardState(this.#state.hardState);
    this.#file.write(this.#batch, this.#state.summary());
    this.#heldHardState = false;
    this.#state.trim(base);
    this.#recent.dropBefore(index + 1);
    if (this.#file.syncNow()) this.#dropSpent();
  }

  restart(base: SnapshotMeta, floor: RefillFloor): void {
    const { hardState, refill } = this.#state;
    this.#begin(baseRecordBytes(base) + hardStateRecordBytes + refillRecordBytes);
    this.#reset(base);
    this.#state.hardState = { ...hardState, commit: base.index };
    this.#state.refill = refill === undefined ? floor : higherFloor(refill, floor);
    this.#batch.addBase(RecordType.snapshot, base);
    this.#batch.addHardState(this.#state.hardState);
    this.#batch.addRefill(this.#state.refill);
    this.#file.write(this.#batch, this.#state.summary());
    this.#heldHardState = false;
    if (this.#file.syncNow()) this.#dropSpent();
  }

  /** The fault that stopped the log, if one did. */
  fault(): LogFault | undefined {
    return this.#file.fault;
  }

  close(): void {
    this.#sealTail();
    this.#file.close();
  }

  #read(index: number, to: number): readonly Entry[] {
    const recent = this.#recent.get(index);
    return recent ? [recent] : this.#reader.read(index, to);
  }

  #hold(write: LogWrite, done: Done): boolean {
    if (write.hardState) {
      this.#state.hardState = write.hardState;
      this.#heldHardState = true;
    }
    return this.#file.afterEarlier(done);
  }

  #append(write: LogWrite): void {
    const { snapshot, entries, refilled } = write;
    const hardState = write.hardState ?? (this.#heldHardState ? this.#state.hardState : undefined);
    const isVote = !onlyCommitMoves({ hardState, entries: [] }, this.#state.hardState);
    this.#begin(recordsBytes({ snapshot, hardState, entries, refilled }));
    if (snapshot) this.#batch.addBase(RecordType.snapshot, snapshot);
    if (hardState) this.#batch.addHardState(hardState);
    if (refilled) this.#batch.addRefill(undefined);
    const offsets = entries.map((entry) => this.#batch.addEntry(entry));
    const { sequence } = this.#file.active;
    if (refilled) this.#state.refill = undefined;
    if (hardState) this.#state.hardState = hardState;
    if (snapshot) this.#reset(snapshot);
    const batchOffset = this.#file.write(this.#batch, this.#summaryWith(entries)) ?? 0;
    this.#heldHardState = false;
    for (const [i, entry] of entries.entries()) {
      const offset = batchOffset + (offsets[i] ?? 0);
      const refusal = this.#state.append(entry.index, entry.term, { sequence, offset });
      assert(refusal === undefined, `entry ${entry.index} was checked`);
      this.#recent.push(entry);
    }
    if (isVote) this.#repeatVote();
  }

  #summaryWith(entries: readonly Entry[]): LogSummary {
    const summary = this.#state.summary();
    const newest = entries.at(-1);
    if (newest === undefined) return summary;
    const { refill } = this.#state;
    const { term, vote, isRefilling } = summary;
    const last = refill === undefined ? newest : higherFloor(newest, refill);
    return { term, vote, last, isRefilling };
  }

  // A vote that the disk lost could be given again. One sector that goes bad, or one write that goes
  // astray, does not take both copies; see replay.ts.
  #repeatVote(): void {
    this.#begin(hardStateRecordBytes);
    this.#batch.addHardState(this.#state.hardState);
    this.#file.write(this.#batch, this.#state.summary());
  }

  #reset(snapshot: SnapshotMeta): void {
    this.#state.reset(snapshot);
    this.#recent.clear();
  }

  // Opens a batch in a segment that has room for it. A new segment starts with a checkpoint, which
  // makes the older ones dispensable.
  #begin(bytes: number): void {
    if (!this.#file.fits(batchHeadBytes + bytes)) {
      const roomBytes =
        padToSector(batchHeadBytes + this.#checkpointBytes()) + batchHeadBytes + bytes;
      if (this.#file.rotate(roomBytes)) this.#checkpoint();
    }
    this.#batch.start(bytes, this.#file.active.seed);
  }

  #checkpointBytes(): number {
    return baseRecordBytes(this.#state.base) + hardStateRecordBytes + refillRecordBytes;
  }

  #checkpoint(): void {
    this.#batch.start(this.#checkpointBytes(), this.#file.active.seed);
    this.#batch.addBase(RecordType.base, this.#state.base);
    this.#batch.addHardState(this.#state.hardState);
    this.#batch.addRefill(this.#state.refill);
    this.#file.write(this.#batch, this.#state.summary());
    this.#heldHardState = false;
  }

  // A batch behind the last one proves that the last one was synced; see replay.ts. The first sync
  // makes true what the batch then says. In a new log it is the first batch.
  #sealTail(): void {
    if (!this.#file.syncNow()) return;
    this.#begin(this.#checkpointBytes());
    this.#checkpoint();
    this.#file.syncNow();
  }

  #dropSpent(): void {
    this.#file.dropOldest((sequence) => {
      const spent = this.#state.isSpent(sequence);
      if (spent) this.#state.forgetSegment(sequence);
      return spent;
    });
  }

  #segment(sequence: number): OpenSegment {
    const { segments } = this.#file;
    const first = segments[0]?.sequence ?? 0;
    return segments[sequence - first] ?? unreachable(`segment ${sequence} was dropped`);
  }
}

function recordsBytes(write: LogWrite): number {
  let bytes = 0;
  if (write.snapshot) bytes += baseRecordBytes(write.snapshot);
  if (write.hardState) bytes += hardStateRecordBytes;
  if (write.refilled) bytes += refillRecordBytes;
  for (const entry of write.entries) bytes += entryRecordBytes(entry);
  return bytes;
}
