// Bytes that wait: appended by copy or as they are, taken from the front. Small pieces share a segment.
import { asBuffer } from "../base/bytes.ts";

const segmentBytesMin = 256;
const segmentBytesUsual = 4096;

interface Segment {
  readonly bytes: Buffer;
  from: number;
  to: number;
}

const spent: Segment = { bytes: Buffer.alloc(0), from: 0, to: 0 };

export class ByteQueue {
  #segments: Segment[] = [];
  #head = 0;
  #length = 0;

  /** Bytes that wait. */
  get length(): number {
    return this.#length;
  }

  push(bytes: Uint8Array): void {
    const last = this.#segments.at(-1);
    const room = last === undefined ? 0 : last.bytes.length - last.to;
    if (last !== undefined && bytes.length <= room) {
      last.bytes.set(bytes, last.to);
      last.to += bytes.length;
    } else {
      // Segments grow with the queue: thousands of streams may hold one short message each.
      const usual = Math.min(segmentBytesUsual, segmentBytesMin + 2 * this.#length);
      const buffer = Buffer.allocUnsafe(Math.max(usual, bytes.length));
      buffer.set(bytes, 0);
      this.#segments.push({ bytes: buffer, from: 0, to: bytes.length });
    }
    this.#length += bytes.length;
  }

  /** Without a copy: nobody may change them any more. */
  pushOwned(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#segments.push({ bytes: asBuffer(bytes), from: 0, to: bytes.length });
    this.#length += bytes.length;
  }

  /** Moves `count` bytes, at most `length`, into `target` from `at` on. */
  moveTo(target: Buffer, at: number, count: number): void {
    let moved = 0;
    while (moved < count) {
      const segment = this.#segments[this.#head];
      if (segment === undefined) break;
      const part = Math.min(count - moved, segment.to - segment.from);
      segment.bytes.copy(target, at + moved, segment.from, segment.from + part);
      segment.from += part;
      moved += part;
      // What has left is let go of at once: a segment may be a large one.
      if (segment.from === segment.to) this.#segments[this.#head++] = spent;
    }
    this.#length -= moved;
    this.#trim();
  }

  clear(): void {
    this.#segments = [];
    this.#head = 0;
    this.#length = 0;
  }

  #trim(): void {
    if (this.#length === 0) this.clear();
    else if (this.#head >= 32) {
      this.#segments = this.#segments.slice(this.#head);
      this.#head = 0;
    }
  }
}
