// Hands out the parts of one frame in order, and never more than it holds.
import { copyBytes, emptyBytes } from "../base/bytes.ts";
import { type CounterReader, FrameFault } from "./counters.ts";

/** A message keeps at most this many times its own payload alive. */
const pinRatioMax = 4;

export class FrameReader {
  readonly #counters: CounterReader;
  readonly #frame: Uint8Array;
  #offset: number;
  #entriesLeft: number;

  /** @param header its counters, where the payload starts, how many entries the frame may hold. */
  constructor(
    frame: Uint8Array,
    header: { counters: CounterReader; payloadOffset: number; entriesMax: number },
  ) {
    this.#frame = frame;
    this.#counters = header.counters;
    this.#offset = header.payloadOffset;
    this.#entriesLeft = header.entriesMax;
  }

  get hasCounters(): boolean {
    return this.#counters.left > 0;
  }

  /** @throws {FrameFault} when something is left. */
  end(): void {
    this.#counters.end();
    if (this.#payloadLeftBytes > 0) throw new FrameFault("the frame has bytes after its end");
  }

  /** @throws {FrameFault} when there is none. */
  counter(): number {
    return this.#counters.next();
  }

  flag(): boolean {
    const value = this.counter();
    if (value > 1) throw new FrameFault("a flag is neither 0 nor 1");
    return value === 1;
  }

  /** A number of entries, datas or ids that follow. */
  count(): number {
    const value = this.counter();
    if (value > this.#entriesLeft) throw new FrameFault("the frame holds too many entries");
    this.#entriesLeft -= value;
    return value;
  }

  /**
   * The next bytes of the payload, for one message. Views of them keep the whole array alive: a
   * message that is small within its frame gets a copy, lest a kept entry pin a much larger frame.
   */
  payload(lengthBytes: number): PayloadPieces {
    if (lengthBytes > this.#payloadLeftBytes) throw new FrameFault("the payload is cut off");
    const from = this.#offset;
    this.#offset += lengthBytes;
    if (lengthBytes * pinRatioMax >= this.#frame.length) {
      return new PayloadPieces(this.#frame, from, this.#offset);
    }
    const copy = copyBytes(this.#frame.subarray(from, this.#offset));
    return new PayloadPieces(copy, 0, lengthBytes);
  }

  get #payloadLeftBytes(): number {
    return this.#frame.length - this.#offset;
  }
}

/** Consecutive pieces of the payload of one message; they fill it exactly. */
export class PayloadPieces {
  readonly #bytes: Uint8Array;
  #offset: number;
  readonly #end: number;

  constructor(bytes: Uint8Array, from: number, to: number) {
    this.#bytes = bytes;
    this.#offset = from;
    this.#end = to;
  }

  next(lengthBytes: number): Uint8Array {
    const from = this.#offset;
    if (lengthBytes > this.#end - from) throw new FrameFault("the payload is cut off");
    this.#offset += lengthBytes;
    if (lengthBytes === 0) return emptyBytes;
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + from, lengthBytes);
  }

  end(): void {
    if (this.#offset !== this.#end) throw new FrameFault("lengths and payload differ");
  }
}
