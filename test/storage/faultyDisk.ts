// A LogDisk in memory that loses, tears and refuses what it is told to.
import type { LogDisk, SegmentFile } from "../../src/storage/logDisk.ts";

export const sector = 512;

interface Write {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

interface FileState {
  /** What a power cut leaves for sure. */
  durable: Uint8Array;
  /** What a read gives; the very bytes of `durable` until the first write. */
  current: Uint8Array;
  unsynced: Write[];
  /** The bytes are also those of another disk: to be copied before anything is written. */
  isShared: boolean;
}

/** Bytes of its own, for both views. */
function own(file: FileState): void {
  if (file.isShared) file.durable = file.durable.slice();
  if (file.isShared || file.current === file.durable) file.current = file.durable.slice();
  file.isShared = false;
}

/** Errors with which the next operation of a kind ends, for good. */
export interface Faults {
  write?: string | undefined;
  sync?: string | undefined;
  create?: string | undefined;
  prepare?: string | undefined;
}

export class FaultyDisk implements LogDisk {
  readonly files = new Map<string, FileState>();
  readonly faults: Faults = {};
  /** Pooled syncs under way; `completeSync` ends the oldest. */
  readonly syncs: (() => void)[] = [];
  readonly prepared: number[] = [];
  syncCount = 0;
  /** Every write, in order. */
  readonly writes: { readonly name: string; readonly offset: number; readonly bytes: number }[] =
    [];
  closedFiles = 0;
  /** Changes until the power is cut: from then on everything fails. */
  stepsLeft = Number.POSITIVE_INFINITY;

  list(): readonly string[] {
    return [...this.files.keys()];
  }

  open(name: string): SegmentFile {
    const file = this.files.get(name);
    if (!file) throw systemError("ENOENT");
    return new FaultyFile(this, name, file);
  }

  create(name: string, head: Uint8Array, bytes: number): SegmentFile {
    this.step();
    if (this.faults.create) throw systemError(this.faults.create);
    const durable = new Uint8Array(bytes);
    durable.set(head);
    this.files.set(name, { durable, current: durable, unsynced: [], isShared: false });
    return this.open(name);
  }

  prepare(bytes: number, done: (error: Error | undefined) => void): void {
    this.prepared.push(bytes);
    const { prepare } = this.faults;
    this.syncs.push(() => done(prepare === undefined ? undefined : systemError(prepare)));
  }

  rename(from: string, to: string): void {
    this.step();
    const file = this.files.get(from);
    if (!file) throw systemError("ENOENT");
    this.files.set(to, file);
    this.files.delete(from);
  }

  remove(name: string): void {
    this.step();
    this.files.delete(name);
  }

  close(): void {}

  /** @throws when the power is gone. */
  step(): void {
    if (this.stepsLeft <= 0) throw systemError("the power is cut");
    this.stepsLeft--;
  }

  completeSync(): void {
    this.syncs.shift()?.();
  }

  /** The disk after a power cut: each sector of each unsynced write has landed, or not. */
  crash(landed: (write: number, sectorNumber: number) => boolean): FaultyDisk {
    const after = new FaultyDisk();
    let number = 0;
    for (const [name, file] of this.files) {
      // Most files are whole: no copy is made of them until somebody writes.
      const isShared = file.unsynced.length === 0;
      const bytes = isShared ? file.durable : file.durable.slice();
      if (isShared) file.isShared = true;
      for (const write of file.unsynced) {
        for (let from = 0; from < write.bytes.length; from += sector) {
          if (!landed(number, from / sector)) continue;
          bytes.set(write.bytes.subarray(from, from + sector), write.offset + from);
        }
        number++;
      }
      after.files.set(name, { durable: bytes, current: bytes, unsynced: [], isShared });
    }
    return after;
  }

  /** The disk as it is, for another opening. */
  clone(): FaultyDisk {
    return this.crash(() => true);
  }

  /** Overwrites what is on the disk, as if it had always been so. */
  patch(name: string, offset: number, bytes: Uint8Array): void {
    const file = this.files.get(name);
    if (!file) throw systemError("ENOENT");
    own(file);
    file.durable.set(bytes, offset);
    file.current.set(bytes, offset);
  }

  flip(name: string, offset: number, bit: number): void {
    const file = this.files.get(name);
    if (!file) throw systemError("ENOENT");
    own(file);
    for (const bytes of [file.durable, file.current]) {
      bytes[offset] = (bytes[offset] ?? 0) ^ (1 << bit);
    }
  }
}

class FaultyFile implements SegmentFile {
  readonly name: string;
  readonly #disk: FaultyDisk;
  readonly #file: FileState;

  constructor(disk: FaultyDisk, name: string, file: FileState) {
    this.#disk = disk;
    this.name = name;
    this.#file = file;
  }

  get bytes(): number {
    return this.#file.current.length;
  }

  read(into: Uint8Array, offset: number): number {
    const from = this.#file.current.subarray(offset, offset + into.length);
    into.set(from);
    return from.length;
  }

  write(from: Uint8Array, count: number, offset: number): void {
    this.#disk.step();
    if (this.#disk.faults.write) throw systemError(this.#disk.faults.write);
    if (offset + count > this.bytes) throw systemError("EFBIG");
    const bytes = from.slice(0, count);
    own(this.#file);
    this.#disk.writes.push({ name: this.name, offset, bytes: count });
    this.#file.current.set(bytes, offset);
    this.#file.unsynced.push({ offset, bytes });
  }

  syncNow(): void {
    this.#disk.step();
    if (this.#disk.faults.sync) throw systemError(this.#disk.faults.sync);
    this.#disk.syncCount++;
    for (const { offset, bytes } of this.#file.unsynced) this.#file.durable.set(bytes, offset);
    this.#file.unsynced = [];
  }

  // What is durable at the end is what had been written at the start.
  sync(done: (error: Error | undefined) => void): void {
    const covers = new Set(this.#file.unsynced);
    this.#disk.syncs.push(() => {
      if (this.#disk.faults.sync) return done(systemError(this.#disk.faults.sync));
      this.#disk.syncCount++;
      const file = this.#file;
      for (const write of file.unsynced) {
        if (covers.has(write)) file.durable.set(write.bytes, write.offset);
      }
      file.unsynced = file.unsynced.filter((write) => !covers.has(write));
      done(undefined);
    });
  }

  close(): void {
    this.#disk.closedFiles++;
  }
}

export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}
