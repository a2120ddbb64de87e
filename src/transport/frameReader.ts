// Hands out the parts of one frame in order, and never more than it holds.
import { copyBytes, emptyBytes } from "../base/bytes.ts";

/** A message keeps at most this many times its own payload alive. */
const pinRatioMax = 4;

/** A frame that no member of ours would send. */
export class FrameFault extends Error {
  override readonly name = "FrameFault";
}

export class FrameReader {
  readonly #counters: readonly number[];
  readonly #frame: Uint8Array;
  #next = 0;
  #offset: number;
  #entriesLeft: number;

  /** @param header its counters, where the payload starts, how many entries the frame may hold. */
  constructor(
    frame: Uint8Array,
    header: { counters: readonly number[]; payloadOffset: number; entriesMax: number },
  ) {
    this.#frame = frame;
    this.#counters = header.counters;
    this.#offset = header.payloadOffset;
    this.#entriesLeft = header.entriesMax;
  }

  get hasCounters(): boolean {
    return this.#next < this.#counters.length;
  }

  get payloadLeftBytes(): number {
    return this.#frame.length - this.#offset;
  }

  counter(): number {
    const value = this.#counters[this.#next++];
    if (value === undefined) throw new FrameFault("a message is cut off");
    return value;
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
    if (lengthBytes > this.payloadLeftBytes) throw new FrameFault("the payload is cut off");
    if (lengthBytes === 0) return new PayloadPieces(emptyBytes);
    const bytes = this.#frame.subarray(this.#offset, this.#offset + lengthBytes);
    this.#offset += lengthBytes;
    const small = lengthBytes * pinRatioMax < this.#frame.length;
    return new PayloadPieces(small ? copyBytes(bytes) : bytes);
  }
}

/** Consecutive pieces of the payload of one message; they fill it exactly. */
export class PayloadPieces {
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  next(lengthBytes: number): Uint8Array {
    const from = this.#offset;
    if (lengthBytes > this.#bytes.length - from) throw new FrameFault("the payload is cut off");
    this.#offset += lengthBytes;
    if (lengthBytes === 0) return emptyBytes;
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + from, lengthBytes);
  }

  end(): void {
    if (this.#offset !== this.#bytes.length) throw new FrameFault("lengths and payload differ");
  }
}
