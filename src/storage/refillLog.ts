// What becomes of a damaged log that others can refill (docs/decisions/0007): what is whole stays, the
// rest is set aside, and the log says from then on how far it may have promised.
//
// The order, so that no crash forgets the promise while its evidence goes:
//  1. the note, a small file, says term, vote, floor and the number of the next batch;
//  2. later segments get another name, the newest first, and the damaged one is copied;
//  3. the rest of the damaged segment is cleared, and a batch with all of that takes its place;
//  4. the note is removed.
// A note whose batch was not written yet makes the next opening do 2 to 4 again.
import { LogIndex, MemberId, noMember, Term } from "../base/brand.ts";
import { crc32c } from "../base/crc.ts";
import type { RefillFloor } from "../raft/types.ts";
import { LogFault } from "./log.ts";
import type { LogDisk, SegmentFile } from "./logDisk.ts";
import type { LogFileOptions } from "./logFile.ts";
import { readFloor, sectorBytes, viewOf, writeFloor } from "./record.ts";
import type { OpenSegment, Recovered } from "./replay.ts";
import { segmentHeadBytes } from "./segment.ts";

/** Files set aside beyond this are removed, those of the lowest names first. */
export const asideFilesMax = 8;
const noteName = "refill.note";
const asideEnding = ".damaged";
const copyBytes = 1024 * 1024;

/** What the log may have promised, and the batch that will say so. */
export interface RefillNote {
  readonly term: Term;
  readonly vote: MemberId;
  readonly floor: RefillFloor;
  /** Number of the first batch behind the cut. */
  readonly number: number;
}

export interface RecoveredForRefill extends Recovered {
  /** Present when something must be set aside. */
  readonly refill?: { readonly note: RefillNote; readonly isNew: boolean } | undefined;
}

interface RefillOptions extends LogFileOptions {
  readonly mayRefill: boolean;
}

/**
 * The recovered log as it goes on, with its floor.
 *
 * @throws {LogFault} when it is damaged and nobody can refill it, or nothing says what it promised.
 */
export function refillOf(options: RefillOptions, recovered: Recovered): RecoveredForRefill {
  const { disk, log, mayRefill } = options;
  const { damage, state, nextNumber } = recovered;
  const found = readNote(disk);
  const isUnfinished = found !== undefined && nextNumber <= found.number;
  if (damage === undefined && !isUnfinished) return recovered;
  if (damage !== undefined && !mayRefill) throw new LogFault(damage.trouble);
  const note = isUnfinished ? found : noteOf(recovered);
  if (damage !== undefined) {
    const why = new LogFault(damage.trouble).message;
    log.warn("the log is damaged: no vote until a leader has refilled it", { why });
  }
  state.refill = note.floor.index > 0 ? note.floor : undefined;
  state.hardState = { ...state.hardState, term: note.term, vote: note.vote };
  return {
    ...recovered,
    nextNumber: Math.max(nextNumber, note.number),
    refill: { note, isNew: !isUnfinished },
  };
}

function noteOf({ damage, state, nextNumber }: Recovered): RefillNote {
  const summary = damage?.summary;
  if (summary === undefined) throw new LogFault(damage?.trouble ?? { kind: "missing" });
  const { hardState } = state;
  const { last: floor, isRefilling } = summary;
  const isOlder = summary.term < hardState.term;
  const { term, vote } = isOlder ? hardState : summary;
  // Two floors became one that no entry may ever reach. A new term does: whoever leads has to win an
  // election above it, and what it then commits ends the refill.
  if (isRefilling) return { term: Term(term + 1), vote: noMember, floor, number: nextNumber };
  return { term, vote, floor, number: nextNumber };
}

/** Steps 1 and 2. */
export function setAside(
  options: LogFileOptions,
  parts: {
    readonly note: RefillNote;
    readonly isNew: boolean;
    readonly active: OpenSegment;
    readonly rest: readonly OpenSegment[];
  },
): void {
  const { disk } = options;
  if (parts.isNew) writeNote(disk, parts.note);
  for (const { file } of parts.rest.toReversed()) {
    file.close();
    disk.rename(file.name, file.name + asideEnding);
  }
  if (parts.isNew) keepCopy(options, parts.active.file);
  const aside = disk.list().filter((name) => name.endsWith(asideEnding));
  for (const name of aside.sort().slice(0, -asideFilesMax)) disk.remove(name);
}

/** Step 4: the log itself says it now. */
export function finishSettingAside(disk: LogDisk): void {
  if (disk.list().includes(noteName)) disk.remove(noteName);
}

// For a person who wants to know what happened; the log does without.
function keepCopy({ disk, log }: LogFileOptions, file: SegmentFile): void {
  const block = new Uint8Array(copyBytes);
  try {
    const head = block.subarray(0, file.read(block.subarray(0, segmentHeadBytes), 0));
    const copy = disk.create(file.name + asideEnding, head, file.bytes);
    for (let offset = head.length; offset < file.bytes; offset += copyBytes) {
      const count = file.read(block.subarray(0, Math.min(copyBytes, file.bytes - offset)), offset);
      copy.write(block, count, offset);
    }
    copy.close();
  } catch (error) {
    log.warn("could not keep a copy of a damaged log segment", {
      file: file.name,
      why: String(error),
    });
  }
}

//    0 8 bytes "QLETREF\n"      16 u64 number of the batch     32 u64 vote
//    8 u32 0                    24 u64 term                    40 u64 index, 48 u64 term: the floor
//   12 u32 checksum of [16, 56)                                56 zeros; a sector, and once more
const magic = Buffer.from("QLETREF\n", "latin1");

function writeNote(disk: LogDisk, { term, vote, floor, number }: RefillNote): void {
  const bytes = new Uint8Array(2 * sectorBytes);
  const view = viewOf(bytes);
  bytes.set(magic);
  writeFloor(view, 16, { index: LogIndex(number), term });
  view.setBigUint64(32, vote, true);
  writeFloor(view, 40, floor);
  view.setUint32(12, crc32c(bytes, 16, 56), true);
  bytes.copyWithin(sectorBytes, 0, sectorBytes);
  disk.create(noteName, bytes, bytes.length).close();
}

/** @throws {LogFault} when there is one that cannot be read. */
function readNote(disk: LogDisk): RefillNote | undefined {
  if (!disk.list().includes(noteName)) return undefined;
  const file = disk.open(noteName);
  const bytes = new Uint8Array(2 * sectorBytes);
  const got = file.read(bytes, 0);
  file.close();
  for (const offset of [0, sectorBytes]) {
    const copy = bytes.subarray(offset, Math.min(got, offset + sectorBytes));
    const view = viewOf(copy);
    const isWhole = copy.length === sectorBytes && magic.equals(copy.subarray(0, 8));
    if (!isWhole || view.getUint32(12, true) !== crc32c(copy, 16, 56)) continue;
    const { index: number, term } = readFloor(view, 16);
    const vote = MemberId(view.getBigUint64(32, true));
    return { number, term, vote, floor: readFloor(view, 40) };
  }
  throw new LogFault({ kind: "damaged", file: noteName, offset: 0 });
}
