// HEADERS and its CONTINUATION frames as one block, within bounds.
import { ConnectionFault, ErrorCode, Flag, type Frame } from "./frames.ts";
import type { Http2Limits } from "./limits.ts";

/** Offsets of what a frame carries between padding and priority fields: `[from, to)`. */
export interface Fragment {
  from: number;
  to: number;
}

/** Takes padding, and for HEADERS the priority fields, off a frame; writes into `into`. */
export function stripPadding(frame: Frame, into: Fragment, withPriority: boolean): void {
  let from = frame.from;
  let to = frame.to;
  if (frame.flags & Flag.padded) {
    if (from >= to) throw new ConnectionFault(ErrorCode.frameSizeError, "no room for padding");
    to -= frame.bytes[from] as number;
    from += 1;
  }
  if (withPriority && frame.flags & Flag.priority) from += 5;
  if (from > to) throw new ConnectionFault(ErrorCode.protocolError, "padding beyond the frame");
  into.from = from;
  into.to = to;
}

export class HeaderAssembly {
  readonly #limits: Http2Limits;
  #parts: Buffer[] = [];
  #bytes = 0;
  /** 0: no block is open. */
  streamId = 0;
  ended = false;

  constructor(limits: Http2Limits) {
    this.#limits = limits;
  }

  /** Opens a block; the bytes are copied. */
  start(frame: Frame, fragment: Fragment): void {
    this.streamId = frame.streamId;
    this.ended = (frame.flags & Flag.endStream) !== 0;
    this.#add(frame.bytes, fragment.from, fragment.to);
  }

  /** @returns the whole block once it is complete. */
  append(frame: Frame): Buffer | undefined {
    if (this.#parts.length > this.#limits.continuationFramesMax) {
      throw new ConnectionFault(ErrorCode.enhanceYourCalm, "too many CONTINUATION frames");
    }
    this.#add(frame.bytes, frame.from, frame.to);
    if (!(frame.flags & Flag.endHeaders)) return undefined;
    const block = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    this.streamId = 0;
    return block;
  }

  #add(bytes: Buffer, from: number, to: number): void {
    this.#bytes += to - from;
    if (this.#bytes > this.#limits.headerBlockBytesMax) {
      throw new ConnectionFault(ErrorCode.enhanceYourCalm, "header block too large");
    }
    this.#parts.push(Buffer.from(bytes.subarray(from, to)));
  }
}
