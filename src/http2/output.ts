// The bytes of one connection on their way to its socket, gathered into few large chunks.

import type { ErrorCode } from "./frames.ts";
import { FrameType, frameHeaderBytes, framePayloadBytesMax } from "./frames.ts";

const chunkBytes = 32_768;
const spareChunksMax = 256;

/** Chunks shared by the connections of a server; one that is given back must not be in use. */
export class ChunkPool {
  readonly #spare: Buffer[] = [];

  take(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(chunkBytes);
  }

  /** @param part a view from the start of a chunk of this pool. */
  give(part: Buffer): void {
    if (this.#spare.length >= spareChunksMax) return;
    this.#spare.push(Buffer.from(part.buffer, 0, chunkBytes));
  }
}

const noChunk = Buffer.alloc(0);

export class Output {
  readonly #pool: ChunkPool;
  readonly #full: Buffer[] = [];
  #fullBytes = 0;
  #at = 0;
  /** Where `begin` reserves; changes with each call of it. */
  chunk: Buffer = noChunk;

  constructor(pool: ChunkPool) {
    this.#pool = pool;
  }

  /** Bytes written and not yet taken. */
  get bytes(): number {
    return this.#fullBytes + this.#at;
  }

  /**
   * Reserves `length` contiguous bytes, at most a frame and its header.
   * @returns their offset in `chunk`; the caller fills them before its next call here.
   */
  reserve(length: number): number {
    if (this.#at + length > this.chunk.length) this.#next();
    const at = this.#at;
    this.#at = at + length;
    return at;
  }

  /** Writes a frame header. @returns the offset of its payload in `chunk`, to be filled. */
  begin(type: number, flags: number, streamId: number, length: number): number {
    const at = this.reserve(frameHeaderBytes + length);
    return writeFrameHeader(this.chunk, at, type, flags, streamId, length);
  }

  frame(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    const at = this.begin(type, flags, streamId, payload.length);
    this.chunk.set(payload, at);
  }

  rstStream(streamId: number, code: ErrorCode): void {
    const at = this.begin(FrameType.rstStream, 0, streamId, 4);
    this.chunk.writeUInt32BE(code, at);
  }

  windowUpdate(streamId: number, increment: number): void {
    const at = this.begin(FrameType.windowUpdate, 0, streamId, 4);
    this.chunk.writeUInt32BE(increment, at);
  }

  /** `debug` beyond a frame is cut. */
  goaway(lastStreamId: number, code: ErrorCode, debug: string): void {
    const text = Buffer.from(debug).subarray(0, framePayloadBytesMax - 8);
    const at = this.begin(FrameType.goaway, 0, 0, 8 + text.length);
    this.chunk.writeUInt32BE(lastStreamId, at);
    this.chunk.writeUInt32BE(code, at + 4);
    this.chunk.set(text, at + 8);
  }

  /** Hands out everything written, in order; the chunks belong to the caller. */
  take(): Buffer[] {
    if (this.#at > 0) this.#full.push(this.chunk.subarray(0, this.#at));
    this.#fullBytes = 0;
    this.#at = 0;
    this.chunk = noChunk;
    return this.#full.splice(0);
  }

  /** Chunks from `take` whose bytes nobody needs any more. */
  giveBack(chunks: readonly Buffer[]): void {
    for (const chunk of chunks) this.#pool.give(chunk);
  }

  #next(): void {
    if (this.#at > 0) this.#full.push(this.chunk.subarray(0, this.#at));
    this.#fullBytes += this.#at;
    this.#at = 0;
    this.chunk = this.#pool.take();
  }
}

/** @returns the offset behind the header. */
export function writeFrameHeader(
  chunk: Buffer,
  at: number,
  type: number,
  flags: number,
  streamId: number,
  length: number,
): number {
  chunk[at] = length >>> 16;
  chunk[at + 1] = length >>> 8;
  chunk[at + 2] = length;
  chunk[at + 3] = type;
  chunk[at + 4] = flags;
  chunk[at + 5] = streamId >>> 24;
  chunk[at + 6] = streamId >>> 16;
  chunk[at + 7] = streamId >>> 8;
  chunk[at + 8] = streamId;
  return at + frameHeaderBytes;
}
