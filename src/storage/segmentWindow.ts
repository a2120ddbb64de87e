// A movable window over a segment file, for recovery: large reads into memory that stays in the
// processor's cache, any number of looks.
import type { SegmentFile } from "./logDisk.ts";
import { viewOf } from "./record.ts";

const windowBytes = 256 * 1024;

export class SegmentWindow {
  #file: SegmentFile;
  #buffer = new Uint8Array(0);
  /** What the window shows; starts at `offset` of the file. */
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = viewOf(this.bytes);
  offset = 0;

  constructor(file: SegmentFile) {
    this.#file = file;
  }

  /** Shows another file from now on; what it showed before is gone. */
  turnTo(file: SegmentFile): void {
    this.#file = file;
    this.bytes = this.#buffer.subarray(0, 0);
    this.view = viewOf(this.bytes);
    this.offset = 0;
  }

  /** Moves the window, if need be, so that it shows [offset, offset + count). False at the end. */
  cover(offset: number, count: number): boolean {
    const within = offset >= this.offset && offset + count <= this.offset + this.bytes.length;
    if (within) return true;
    if (offset + count > this.#file.bytes) return false;
    const want = Math.min(Math.max(windowBytes, count), this.#file.bytes - offset);
    if (this.#buffer.length < want) this.#buffer = new Uint8Array(want);
    const got = this.#file.read(this.#buffer.subarray(0, want), offset);
    this.bytes = this.#buffer.subarray(0, got);
    this.view = viewOf(this.bytes);
    this.offset = offset;
    return got >= count;
  }
}
