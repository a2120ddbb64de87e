// Bytes that wait: appended by copy, taken from the front. Small pieces share a segment.

const segmentBytesMin = 256;
const segmentBytesUsual = 4096;

interface Segment {
  readonly bytes: Buffer;
  from: number;
  to: number;
}

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
      if (segment.from === segment.to) this.#head += 1;
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
