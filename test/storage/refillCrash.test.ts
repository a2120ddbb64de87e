// The power is cut between any two steps of setting a damaged log aside, also several times in a row: the
// next start still knows how far the member may have promised, and for whom it voted.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemberId } from "../../src/base/brand.ts";
import { Prng } from "../../src/base/prng.ts";
import { type DiskRaftLog, openRaftLog } from "../../src/storage/raftLog.ts";
import { segmentHeadBytes } from "../../src/storage/segment.ts";
import { FaultyDisk, sector } from "./faultyDisk.ts";
import { entries, hardState, never, options } from "./logFixture.ts";

const seed = Number(process.env.QUORLET_SEED ?? 1);
const small = { segmentBytesMax: segmentHeadBytes + 8 * sector };
const lastIndex = 24;

const open = (disk: FaultyDisk, mayCreate = false): DiskRaftLog =>
  openRaftLog(options(disk, { ...small, mayCreate, mayRefill: true }));

/** Several segments; the damage is in the first one, the vote behind it. */
function damaged(): FaultyDisk {
  const disk = new FaultyDisk();
  const log = open(disk, true);
  for (let index = 1; index <= lastIndex; index += 3) {
    log.save({ entries: entries(index, index + 3, 1, 300) }, true, never);
    if (index === 13) log.save({ hardState: hardState(5, 0xa3n, 2), entries: [] }, true, never);
  }
  log.close();
  assert.ok(disk.list().length > 3);
  const second = disk.writes.filter(({ name }) => name === "0000000001.log").at(2);
  disk.flip("0000000001.log", (second?.offset ?? 0) + 100, 1);
  return disk;
}

function judge(log: DiskRaftLog, why: string): void {
  const { refill, hardState: state } = log.initialState();
  assert.deepEqual(refill, { index: lastIndex, term: 1 }, why);
  assert.deepEqual([state.term, state.vote], [5, MemberId(0xa3n)], why);
  assert.ok(log.lastIndex() < lastIndex && log.lastIndex() > 0, why);
}

/** Opens until the power is cut. @returns what is then on the disk; undefined: it was not cut. */
function cutAfter(steps: number, disk: FaultyDisk, random: Prng): FaultyDisk | undefined {
  disk.stepsLeft = steps;
  try {
    judge(open(disk), "not cut");
    if (disk.stepsLeft > 0) return undefined;
  } catch (error) {
    if (disk.stepsLeft > 0) throw error;
  }
  return disk.crash(() => !random.oneIn(3));
}

test("the power is cut after each step", () => {
  let steps = 0;
  for (; ; steps++) {
    const random = new Prng(seed * 1000 + steps);
    const after = cutAfter(steps, damaged(), random);
    if (after === undefined) break;
    const why = `seed ${seed}, after ${steps} steps`;
    judge(open(after), why);
    judge(open(after.crash(() => true)), `${why}, and once more`);
  }
  assert.ok(steps > 12, `${steps} steps`);
});

test("the power is cut again and again", () => {
  for (let run = 0; run < 200; run++) {
    const random = new Prng(seed * 1000 + run);
    let disk = damaged();
    const cuts: number[] = [];
    for (let cut = 1 + random.integer(5); cut > 0; cut--) {
      cuts.push(random.integer(20));
      disk = cutAfter(cuts.at(-1) ?? 0, disk, random) ?? disk.crash(() => true);
    }
    judge(open(disk), `seed ${seed}, run ${run}, cut after ${cuts}`);
  }
});
