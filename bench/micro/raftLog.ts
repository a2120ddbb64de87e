// The segment log: save and sync on a real disk, its own cost without a disk, checksums, recovery.
//   tsx bench/micro/raftLog.ts [saves] [folder]
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { crc32c as native } from "@node-rs/crc32";
import { LogIndex, MemberId, Term } from "../../src/base/brand.ts";
import { crc32c } from "../../src/base/crc.ts";
import { silentLog } from "../../src/base/ports.ts";
import type { Entry } from "../../src/raft/types.ts";
import { FsLogDisk } from "../../src/storage/diskFs.ts";
import type { LogDisk, SegmentFile } from "../../src/storage/logDisk.ts";
import { type DiskRaftLog, openRaftLog } from "../../src/storage/raftLog.ts";

type Print = (line: string) => void;
type Mode = "inline" | "pooled";

const entryBytes = 300;
const entryCounts = [1, 64, 256];
const mebibyte = 1024 * 1024;

/** @param saves per row; small ones make it a test that it still runs. */
export async function runRaftLogBench(saves: number, folder: string, print: Print): Promise<void> {
  benchChecksums(saves, print);
  await benchCost(saves, print);
  const directory = fs.mkdtempSync(path.join(folder, "quorlet-bench-"));
  try {
    await benchSaves(saves, directory, print);
    await benchRecovery(saves, path.join(directory, "recovery"), print);
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

function benchChecksums(rounds: number, print: Print): void {
  print("crc32c, ns            ours  native");
  const sums = new Set<number>();
  for (const bytes of [28, 64, 128, 192, 300, 4096]) {
    const data = Buffer.alloc(bytes + 8, 7);
    const part = data.subarray(4, 4 + bytes);
    const calls = rounds * 200;
    const ours = time(calls, () => sums.add(crc32c(data, 4, 4 + bytes)));
    const theirs = time(calls, () => sums.add(native(part)));
    print(`${`${bytes}`.padStart(8)} bytes ${column(ours)} ${column(theirs)}`);
  }
}

// All of a save but the disk: framing, checksums, index, cache.
async function benchCost(saves: number, print: Print): Promise<void> {
  print("event loop without disk, µs an entry");
  for (const count of entryCounts) {
    const log = open(new NullDisk(), "inline");
    const us = await saveRun(log, count, saves);
    print(`${`${count}`.padStart(8)} entries ${(us / count).toFixed(2)}`);
    log.close();
  }
}

async function benchSaves(saves: number, directory: string, print: Print): Promise<void> {
  print(`save and sync of ${entryBytes} B entries, µs      inline  pooled`);
  for (const count of entryCounts) {
    const best: Record<Mode, number> = { inline: Infinity, pooled: Infinity };
    // Alternated, and the best round of each: the machine is shared.
    for (let round = 0; round < 3; round++) {
      for (const mode of ["inline", "pooled"] as const) {
        const log = open(new FsLogDisk(path.join(directory, mode)), mode);
        best[mode] = Math.min(best[mode], await saveRun(log, count, saves));
        log.close();
      }
    }
    const row = `${column(best.inline)} ${column(best.pooled)}`;
    print(`${`${count}`.padStart(8)} entries                        ${row}`);
  }
}

async function benchRecovery(saves: number, directory: string, print: Print): Promise<void> {
  const log = open(new FsLogDisk(directory), "inline");
  await saveRun(log, 256, saves * 4);
  const entries = log.lastIndex();
  log.close();
  const bytes = entries * (entryBytes + 36);
  const started = performance.now();
  open(new FsLogDisk(directory), "inline").close();
  const tookMs = performance.now() - started;
  const perGib = (tookMs * 1024 * mebibyte) / bytes;
  print(
    `recovery of ${entries} entries, ${(bytes / mebibyte).toFixed(0)} MiB: ` +
      `${tookMs.toFixed(0)} ms; for 1 GiB about ${perGib.toFixed(0)} ms`,
  );
}

/** Median time of a save until it is durable, in microseconds. */
async function saveRun(log: DiskRaftLog, count: number, saves: number): Promise<number> {
  const data = Buffer.alloc(entryBytes, 7);
  let next: number = log.lastIndex() + 1;
  const tookMs: number[] = [];
  for (let i = 0; i < saves; i++) {
    const entries: Entry[] = [];
    for (let k = 0; k < count; k++) {
      entries.push({ term: Term(1), index: LogIndex(next++), kind: 0, data });
    }
    const started = performance.now();
    await new Promise<void>((resolve, reject) => {
      const done = (error?: Error): void => (error ? reject(error) : resolve());
      if (log.save({ entries }, true, done)) resolve();
    });
    tookMs.push(performance.now() - started);
    // As in a server, a turn passes; the next segment is prepared meanwhile.
    await new Promise((resolve) => setImmediate(resolve));
  }
  tookMs.sort((a, b) => a - b);
  return (tookMs[saves >>> 1] ?? 0) * 1000;
}

function open(disk: LogDisk, sync: Mode): DiskRaftLog {
  return openRaftLog({
    disk,
    sync,
    clock: { nowMs: () => performance.now() },
    log: silentLog,
    owner: { clusterId: 1n, memberId: 2n },
    salt: () => 3n,
    defer: (run) => void setImmediate(run),
    segmentBytesMax: 64 * mebibyte,
    membership: { voters: [MemberId(2n)], outgoing: [], learners: [] },
    mayCreate: true,
    mayRefill: false,
    recentBytesMax: 32 * mebibyte,
  });
}

/** Takes everything and keeps nothing. */
class NullDisk implements LogDisk {
  list(): readonly string[] {
    return [];
  }

  open(name: string): SegmentFile {
    return this.create(name, new Uint8Array(0), 0);
  }

  create(name: string, _head: Uint8Array, bytes: number): SegmentFile {
    return {
      name,
      bytes,
      read: (into) => into.fill(0).length,
      write: () => {},
      syncNow: () => {},
      sync: (done) => void setImmediate(done, undefined),
      close: () => {},
    };
  }

  prepare(): void {}
  rename(): void {}
  remove(): void {}
  close(): void {}
}

/** Nanoseconds a call, the best of three rounds. */
function time(calls: number, run: () => void): number {
  let best = Infinity;
  for (let round = 0; round < 3; round++) {
    const started = performance.now();
    for (let i = 0; i < calls; i++) run();
    best = Math.min(best, ((performance.now() - started) * 1e6) / calls);
  }
  return best;
}

const column = (value: number): string => value.toFixed(0).padStart(7);

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , saves = "300", folder = os.tmpdir()] = process.argv;
  await runRaftLogBench(Number(saves), folder, console.log);
}
