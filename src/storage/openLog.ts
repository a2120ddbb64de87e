// Opening a log: finds the segments, checks whose they are, replays them, clears what was cut.
import { Mistake } from "../base/assert.ts";
import { LogIndex, Term } from "../base/brand.ts";
import { asBuffer } from "../base/bytes.ts";
import type { Membership } from "../raft/types.ts";
import { LogFault } from "./log.ts";
import type { LogDisk, SegmentFile } from "./logDisk.ts";
import { codeOf, firstSegmentBytes, type LogFileOptions } from "./logFile.ts";
import { refillOf, setAside } from "./refillLog.ts";
import { type OpenSegment, type Recovered, replay } from "./replay.ts";
import {
  checkSegmentHead,
  encodeSegmentHead,
  mendSegmentHead,
  segmentHeadBytes,
  segmentName,
  segmentSeed,
  sequenceOf,
} from "./segment.ts";

export interface RaftLogOptions extends LogFileOptions {
  /** Members of a log that has to be made. */
  readonly membership: Membership;
  /** False for a member that ran before: an absent log is then a fault, not a beginning. */
  readonly mayCreate: boolean;
  /**
   * Somebody else votes: what this log lost can be had from the others. False: a damaged log is
   * refused as it is.
   */
  readonly mayRefill: boolean;
  /** Bound of the entries kept in memory. */
  readonly recentBytesMax: number;
}

export interface OpenedLog {
  /** Ascending sequences; the last one is the active one. */
  readonly segments: readonly OpenSegment[];
  readonly recovered: Recovered;
}

/**
 * To be followed by a batch with the state that was recovered, and then by `finishSettingAside`.
 *
 * @throws {LogFault} when the log cannot be trusted, and nobody may refill it; nothing was changed then.
 */
export function openLog(options: RaftLogOptions): OpenedLog {
  const opened: OpenSegment[] = [];
  try {
    openSegments(options, opened);
    return recover(options, opened);
  } catch (error) {
    for (const { file } of opened) file.close();
    if (error instanceof LogFault || error instanceof Mistake) throw error;
    const file = opened.at(-1)?.file.name ?? segmentName(1);
    throw new LogFault({ kind: "io", file, code: codeOf(error) }, { cause: error });
  }
}

function openSegments(options: RaftLogOptions, opened: OpenSegment[]): void {
  const sequences = newestRun(options.disk.list());
  for (const sequence of sequences) opened.push(openSegment(options, sequence));
  if (opened.length > 0) return;
  if (!options.mayCreate) throw new LogFault({ kind: "missing" });
  opened.push(createFirst(options));
}

// Segments are removed from the oldest on, and a crash may bring some back: what counts is the run
// of consecutive sequences up to the newest. If more is missing, the entries show a gap.
function newestRun(names: readonly string[]): number[] {
  const sequences = names.map(sequenceOf).filter((sequence) => sequence !== undefined);
  sequences.sort((a, b) => a - b);
  let from = sequences.length - 1;
  while (from > 0 && sequences[from - 1] === (sequences[from] ?? 0) - 1) from--;
  return sequences.slice(Math.max(from, 0));
}

function openSegment(options: RaftLogOptions, sequence: number): OpenSegment {
  const name = segmentName(sequence);
  const file = options.disk.open(name);
  try {
    const head = new Uint8Array(segmentHeadBytes);
    const got = file.read(head, 0);
    if (mendSegmentHead(head)) {
      options.log.warn("mended the damaged head of a log segment from its copy", { file: name });
      file.write(head, got, 0);
      file.syncNow();
    }
    checkSegmentHead(head.subarray(0, got), { name, owner: options.owner, sequence });
    return { sequence, file, seed: segmentSeed(head) };
  } catch (error) {
    file.close();
    throw error;
  }
}

function createFirst(options: RaftLogOptions): OpenSegment {
  const head = encodeSegmentHead({ owner: options.owner, sequence: 1, salt: options.salt() });
  const bytes = Math.min(firstSegmentBytes, options.segmentBytesMax);
  const name = segmentName(1);
  try {
    return { sequence: 1, file: options.disk.create(name, head, bytes), seed: segmentSeed(head) };
  } catch (error) {
    if (codeOf(error) !== "ENOSPC") throw error;
    throw new LogFault({ kind: "noSpace", file: name }, { cause: error });
  }
}

function recover(options: RaftLogOptions, opened: readonly OpenSegment[]): OpenedLog {
  const { membership, mayCreate, disk } = options;
  const replayed = replay(opened, { index: LogIndex(0), term: Term(0), membership });
  const recovered = refillOf(options, replayed);
  const segments = opened.slice(0, recovered.tail + 1);
  const rest = opened.slice(recovered.tail + 1);
  const active = segments.at(-1);
  if (active === undefined) throw new LogFault({ kind: "missing" });
  if (recovered.isEmpty && recovered.refill === undefined && !mayCreate) {
    throw new LogFault({ kind: "damaged", file: active.file.name, offset: recovered.tailOffset });
  }
  if (recovered.refill !== undefined) setAside(options, { ...recovered.refill, active, rest });
  else for (const { file } of rest) removeClosed(disk, file);
  removeStrays(options, segments);
  zeroRest(active.file, recovered.tailOffset);
  return { segments, recovered };
}

function removeClosed(disk: LogDisk, file: SegmentFile): void {
  file.close();
  disk.remove(file.name);
}

function removeStrays(options: RaftLogOptions, segments: readonly OpenSegment[]): void {
  const oldest = segments[0]?.sequence ?? 0;
  for (const name of options.disk.list()) {
    const sequence = sequenceOf(name);
    if (sequence !== undefined && sequence < oldest) options.disk.remove(name);
  }
}

const zeroBytes = 64 * 1024;

// What was cut must not come back: were the next batch as long as the one that was cut, a whole
// batch behind that would follow it. The caller syncs before it writes on.
function zeroRest(file: SegmentFile, from: number): void {
  const zeros = Buffer.alloc(zeroBytes);
  const block = new Uint8Array(zeroBytes);
  for (let offset = from; offset < file.bytes; offset += zeroBytes) {
    const count = Math.min(zeroBytes, file.bytes - offset);
    const got = file.read(block.subarray(0, count), offset);
    const clean = asBuffer(block).subarray(0, got).equals(zeros.subarray(0, got));
    if (!clean) file.write(zeros, count, offset);
  }
}
