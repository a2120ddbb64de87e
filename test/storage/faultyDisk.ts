// A LogDisk in memory that loses, tears and refuses what it is told to.
import { assert } from "../../src/base/assert.ts";
import { emptyBytes } from "../../src/base/bytes.ts";
import type { LogDisk, SegmentFile } from "../../src/storage/logDisk.ts";

export const sector = 512;

interface Write {
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** What it replaced, as far as that was ever written: what a power cut may bring back. */
  readonly before: Uint8Array;
}

/** One array for what a read gives and what a sync has kept: what is not synced can be undone. */
class FileState {
  readonly length: number;
  /** In order; a sync takes the oldest. */
  unsynced: Write[] = [];
  /** The beginning of the file; the rest is zeros that nobody has written yet. */
  #bytes: Uint8Array;
  /** The bytes are also those of another disk: to be copied before anything is written. */
  #isShared = false;
  #end: number;

  /** @param head where the file begins; behind it are zeros. */
  constructor(length: number, head: Uint8Array) {
    this.length = length;
    this.#bytes = head;
    this.#end = head.length;
  }

  /** What a read gives. */
  get current(): Uint8Array {
    const whole = new Uint8Array(this.length);
    whole.set(this.#bytes.subarray(0, this.#end));
    return whole;
  }

  /** What a power cut leaves for sure. */
  get durable(): Uint8Array {
    const whole = this.current;
    this.#undo(whole);
    return whole;
  }

  read(into: Uint8Array, offset: number): number {
    const count = Math.max(0, Math.min(into.length, this.length - offset));
    const written = Math.max(0, Math.min(count, this.#end - offset));
    if (written > 0) into.set(this.#bytes.subarray(offset, offset + written));
    if (written < count) into.fill(0, written, count);
    return count;
  }

  write(from: Uint8Array, count: number, offset: number): void {
    const end = offset + count;
    const bytes = from.slice(0, count);
    const before =
      offset < this.#end ? this.#bytes.slice(offset, Math.min(end, this.#end)) : emptyBytes;
    this.#overwrite(bytes, offset);
    this.unsynced.push({ offset, bytes, before });
  }

  /** As if it had always been so. */
  patch(offset: number, bytes: Uint8Array): void {
    assert(this.unsynced.length === 0, "harm is done to what is synced");
    this.#overwrite(bytes, offset);
  }

  /** A file after a power cut: each sector of each unsynced write has landed, or not. */
  crash(landed: (write: number, sectorNumber: number) => boolean): FileState {
    // Most files are whole: no copy is made of them until somebody writes.
    if (this.unsynced.length === 0) {
      const same = new FileState(this.length, this.#bytes);
      same.#end = this.#end;
      this.#isShared = same.#isShared = true;
      return same;
    }
    const bytes = this.#bytes.slice(0, this.#end);
    this.#undo(bytes);
    this.unsynced.forEach((write, number) => {
      for (let from = 0; from < write.bytes.length; from += sector) {
        if (!landed(number, from / sector)) continue;
        bytes.set(write.bytes.subarray(from, from + sector), write.offset + from);
      }
    });
    return new FileState(this.length, bytes);
  }

  #undo(bytes: Uint8Array): void {
    for (const write of this.unsynced.toReversed()) {
      bytes.set(write.before, write.offset);
      bytes.fill(0, write.offset + write.before.length, write.offset + write.bytes.length);
    }
  }

  #overwrite(bytes: Uint8Array, offset: number): void {
    const end = offset + bytes.length;
    if (this.#isShared || end > this.#bytes.length) {
      const room = Math.max(end, Math.min(this.length, 2 * this.#end));
      const larger = new Uint8Array(room);
      larger.set(this.#bytes.subarray(0, this.#end));
      this.#bytes = larger;
      this.#isShared = false;
    }
    this.#bytes.set(bytes, offset);
    this.#end = Math.max(this.#end, end);
  }
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
    this.files.set(name, new FileState(bytes, head.slice()));
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
    let before = 0;
    for (const [name, file] of this.files) {
      const first = before;
      after.files.set(
        name,
        file.crash((write, sectorNumber) => landed(first + write, sectorNumber)),
      );
      before += file.unsynced.length;
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
    file.patch(offset, bytes);
  }

  flip(name: string, offset: number, bit: number): void {
    const file = this.files.get(name);
    if (!file) throw systemError("ENOENT");
    const byte = new Uint8Array(1);
    file.read(byte, offset);
    file.patch(
      offset,
      byte.map((before) => before ^ (1 << bit)),
    );
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
    return this.#file.length;
  }

  read(into: Uint8Array, offset: number): number {
    return this.#file.read(into, offset);
  }

  write(from: Uint8Array, count: number, offset: number): void {
    this.#disk.step();
    if (this.#disk.faults.write) throw systemError(this.#disk.faults.write);
    if (offset + count > this.bytes) throw systemError("EFBIG");
    this.#disk.writes.push({ name: this.name, offset, bytes: count });
    this.#file.write(from, count, offset);
  }

  syncNow(): void {
    this.#disk.step();
    if (this.#disk.faults.sync) throw systemError(this.#disk.faults.sync);
    this.#disk.syncCount++;
    this.#file.unsynced = [];
  }

  // What is durable at the end is what had been written at the start.
  sync(done: (error: Error | undefined) => void): void {
    const newest = this.#file.unsynced.at(-1);
    this.#disk.syncs.push(() => {
      if (this.#disk.faults.sync) return done(systemError(this.#disk.faults.sync));
      this.#disk.syncCount++;
      const { unsynced } = this.#file;
      // Not there any more: another sync has taken it along with all before.
      const count = newest === undefined ? 0 : unsynced.indexOf(newest) + 1;
      unsynced.splice(0, count);
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
