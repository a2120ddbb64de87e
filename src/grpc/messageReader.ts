// gRPC message framing: a flag byte, a length of 4 bytes, the message; cut anywhere by DATA frames.
import { gunzipSync } from "node:zlib";
import { EtcdError, errMessageTooLarge } from "../base/errors.ts";
import type { Http2Stream } from "../http2/stream.ts";
import {
  errCompressedFlag,
  errDecompress,
  errPayloadFormat,
  errRequestBacklog,
  errUnfoldsTooLarge,
} from "./refusals.ts";

export const messagePrefixBytes = 5;
const firstBodyBytes = 16_384;

export interface MessageSink {
  /** `message` is valid only within the call. @returns false when no further message is wanted. */
  onMessage(message: Buffer): boolean;
}

/** Judges a message by its prefix, before anything of it is kept. */
export function prefixRefusal(
  flag: number,
  lengthBytes: number,
  messageBytesMax: number,
  isGzip = false,
): EtcdError | undefined {
  if (lengthBytes > messageBytesMax) return errMessageTooLarge(lengthBytes, messageBytesMax);
  if (flag === 0 || (flag === 1 && isGzip)) return undefined;
  return flag === 1 ? errCompressedFlag : errPayloadFormat(flag);
}

const noBody = Buffer.alloc(0);

export class MessageReader {
  readonly #messageBytesMax: number;
  readonly #isGzip: boolean;
  readonly #prefix = Buffer.allocUnsafe(messagePrefixBytes);
  #prefixHave = 0;
  #length = 0;
  #body: Buffer = noBody;
  #bodyHave = 0;

  /** @param isGzip the call says that its messages may be compressed. */
  constructor(options: { readonly messageBytesMax: number }, isGzip = false) {
    this.#messageBytesMax = options.messageBytesMax;
    this.#isGzip = isGzip;
  }

  /** True between messages. */
  get idle(): boolean {
    return this.#prefixHave === 0;
  }

  /** Bytes of the current message in memory. */
  get haveBytes(): number {
    return this.#bodyHave;
  }

  /** Bytes of the current message still to come, as far as known. */
  get missingBytes(): number {
    if (this.#prefixHave === 0) return 0;
    const prefixMissing = messagePrefixBytes - this.#prefixHave;
    return prefixMissing > 0 ? prefixMissing : this.#length - this.#bodyHave;
  }

  /**
   * Takes body bytes `bytes[from, to)`; whole messages go to the sink, the rest is kept.
   * @returns why the call must end.
   */
  push(
    bytes: Buffer,
    from: number,
    to: number,
    parts: { readonly stream: Http2Stream; readonly sink: MessageSink },
  ): EtcdError | undefined {
    let at = from;
    while (at < to) {
      at = this.#takePrefix(bytes, at, to);
      if (this.#prefixHave < messagePrefixBytes) return undefined;
      if (this.#bodyHave === 0) {
        const refusal = this.#judge();
        if (refusal !== undefined) return refusal;
      }
      if (this.#bodyHave === 0 && to - at >= this.#length) {
        const next = at + this.#length;
        this.#prefixHave = 0;
        const message = this.#plain(bytes.subarray(at, next));
        if (message instanceof EtcdError) return message;
        if (!parts.sink.onMessage(message)) return undefined;
        at = next;
        continue;
      }
      const count = Math.min(this.#length - this.#bodyHave, to - at);
      if (!this.#reserve(this.#bodyHave + count, parts.stream)) return errRequestBacklog;
      bytes.copy(this.#body, this.#bodyHave, at, at + count);
      this.#bodyHave += count;
      at += count;
      if (this.#bodyHave < this.#length) return undefined;
      const body = this.#takeBody();
      parts.stream.settle();
      const message = this.#plain(body);
      if (message instanceof EtcdError) return message;
      if (!parts.sink.onMessage(message)) return undefined;
    }
    return undefined;
  }

  // What was compressed unfolds at most to the longest message: a bomb costs no more than that.
  #plain(message: Buffer): Buffer | EtcdError {
    if (this.#prefix[0] !== 1) return message;
    try {
      return gunzipSync(message, { maxOutputLength: this.#messageBytesMax });
    } catch (error) {
      const isBomb = error instanceof RangeError;
      return isBomb ? errUnfoldsTooLarge(this.#messageBytesMax) : errDecompress(error);
    }
  }

  #takePrefix(bytes: Buffer, from: number, to: number): number {
    const count = Math.min(messagePrefixBytes - this.#prefixHave, to - from);
    if (count > 0) {
      bytes.copy(this.#prefix, this.#prefixHave, from, from + count);
      this.#prefixHave += count;
    }
    return from + count;
  }

  #judge(): EtcdError | undefined {
    this.#length = this.#prefix.readUInt32BE(1);
    const flag = this.#prefix[0] ?? 0;
    return prefixRefusal(flag, this.#length, this.#messageBytesMax, this.#isGzip);
  }

  // The buffer follows what has arrived, not what was announced, and doubles: a prefix is cheap to send.
  #reserve(bytes: number, stream: Http2Stream): boolean {
    if (bytes <= this.#body.length) return true;
    const size = Math.min(this.#length, Math.max(bytes, 2 * this.#body.length, firstBodyBytes));
    if (!stream.hold(size - this.#body.length)) return false;
    const body = Buffer.allocUnsafeSlow(size);
    this.#body.copy(body, 0, 0, this.#bodyHave);
    this.#body = body;
    return true;
  }

  #takeBody(): Buffer {
    const body = this.#body;
    this.#body = noBody;
    this.#bodyHave = 0;
    this.#prefixHave = 0;
    return body;
  }
}
