// A log disk that says how long its syncs took and how much was written.
import { Histogram } from "../base/histogram.ts";
import type { Clock } from "../base/ports.ts";
import { diskBoundsSec } from "../member/tally.ts";
import type { LogDisk, SegmentFile } from "../storage/logDisk.ts";

export class DiskTally {
  readonly syncSec = new Histogram(diskBoundsSec);
  readonly writeSec = new Histogram(diskBoundsSec);
  writtenBytes = 0;
}

export interface TimedDiskOptions {
  readonly tally: DiskTally;
  readonly clock: Clock;
  /** A sync took longer than `slowSyncMs`. */
  readonly onSlowSync: (tookMs: number) => void;
}

/** etcd warns from one second on. */
export const slowSyncMs = 1_000;

/** The disk itself, but for `open` and `create`, whose files are watched. */
export function timedDisk(disk: LogDisk, options: TimedDiskOptions): LogDisk {
  return {
    list: () => disk.list(),
    open: (name) => new TimedFile(disk.open(name), options),
    create: (name, head, bytes) => new TimedFile(disk.create(name, head, bytes), options),
    prepare: (bytes, done) => disk.prepare(bytes, done),
    rename: (from, to) => disk.rename(from, to),
    remove: (name) => disk.remove(name),
    close: () => disk.close(),
  };
}

class TimedFile implements SegmentFile {
  readonly #file: SegmentFile;
  readonly #options: TimedDiskOptions;

  constructor(file: SegmentFile, options: TimedDiskOptions) {
    this.#file = file;
    this.#options = options;
  }

  get name(): string {
    return this.#file.name;
  }

  get bytes(): number {
    return this.#file.bytes;
  }

  read(into: Uint8Array, offset: number): number {
    return this.#file.read(into, offset);
  }

  write(from: Uint8Array, count: number, offset: number): void {
    const { tally, clock } = this.#options;
    const startMs = clock.nowMs();
    this.#file.write(from, count, offset);
    tally.writeSec.observe((clock.nowMs() - startMs) / 1000);
    tally.writtenBytes += count;
  }

  syncNow(): void {
    const startMs = this.#options.clock.nowMs();
    this.#file.syncNow();
    this.#observe(startMs);
  }

  sync(done: (error: Error | undefined) => void): void {
    const startMs = this.#options.clock.nowMs();
    this.#file.sync((error) => {
      this.#observe(startMs);
      done(error);
    });
  }

  close(): void {
    this.#file.close();
  }

  #observe(startMs: number): void {
    const { tally, clock, onSlowSync } = this.#options;
    const tookMs = clock.nowMs() - startMs;
    tally.syncSec.observe(tookMs / 1000);
    if (tookMs > slowSyncMs) onSlowSync(tookMs);
  }
}
