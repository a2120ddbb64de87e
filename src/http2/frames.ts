// The frame layer of RFC 9113: codes, and cutting the byte stream into whole frames.

export const FrameType = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const Flag = {
  none: 0,
  endStream: 0x1,
  ack: 0x1,
  endHeaders: 0x4,
  padded: 0x8,
  priority: 0x20,
} as const;

export const ErrorCode = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  connectError: 10,
  enhanceYourCalm: 11,
  inadequateSecurity: 12,
  http11Required: 13,
} as const;
export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

export const Setting = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

export const frameHeaderBytes = 9;
/** Largest payload in both directions: we never raise the protocol's initial value. */
export const framePayloadBytesMax = 16_384;
/** Size of every window before SETTINGS and WINDOW_UPDATE. */
export const initialWindowBytes = 65_535;
export const windowBytesMax = 0x7fff_ffff;
export const streamIdMax = 0x7fff_ffff;

export const connectionPreface: Uint8Array = Buffer.from(
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "latin1",
);

/** The peer broke a rule that ends the connection. Thrown and caught within this room. */
export class ConnectionFault {
  readonly code: ErrorCode;
  /** Goes to the peer as debug data of GOAWAY. */
  readonly reason: string;

  constructor(code: ErrorCode, reason: string) {
    this.code = code;
    this.reason = reason;
  }
}

/** One whole frame: the payload is `bytes[from, to)`, valid only within the call. */
export interface Frame {
  type: number;
  flags: number;
  streamId: number;
  bytes: Buffer;
  from: number;
  to: number;
}

export interface FrameSink {
  /** @returns false when no further frame is wanted. The frame object is reused. */
  onFrame(frame: Frame): boolean;
}

/** Cuts chunks into frames; a frame cut by a chunk's end is completed in a buffer of its own. */
export class FrameReader {
  readonly #header = Buffer.alloc(frameHeaderBytes);
  readonly #frame: Frame = {
    type: 0,
    flags: 0,
    streamId: 0,
    bytes: this.#header,
    from: 0,
    to: 0,
  };
  #carry: Buffer = this.#header;
  #carried = 0;

  /** @throws {ConnectionFault} FRAME_SIZE_ERROR, as soon as the length is known. */
  push(chunk: Buffer, from: number, sink: FrameSink): void {
    let at = from;
    if (this.#carried > 0) {
      at = this.#complete(chunk, at);
      if (at < 0) return;
      if (!sink.onFrame(this.#frame)) return;
    }
    const end = chunk.length;
    while (end - at >= frameHeaderBytes) {
      const length = payloadLength(chunk, at);
      const next = at + frameHeaderBytes + length;
      if (next > end) break;
      this.#fill(chunk, at, next);
      if (!sink.onFrame(this.#frame)) return;
      at = next;
    }
    if (at < end) this.#keep(chunk, at);
  }

  #fill(bytes: Buffer, at: number, to: number): void {
    const frame = this.#frame;
    frame.type = bytes[at + 3] as number;
    frame.flags = bytes[at + 4] as number;
    frame.streamId = bytes.readUInt32BE(at + 5) & streamIdMax;
    frame.bytes = bytes;
    frame.from = at + frameHeaderBytes;
    frame.to = to;
  }

  #keep(chunk: Buffer, at: number): void {
    const length = chunk.length - at;
    if (length < frameHeaderBytes) {
      this.#carry = this.#header;
    } else {
      this.#carry = Buffer.allocUnsafe(frameHeaderBytes + payloadLength(chunk, at));
    }
    chunk.copy(this.#carry, 0, at);
    this.#carried = length;
  }

  // Returns the offset behind the completed frame, or -1 when more bytes are needed.
  #complete(chunk: Buffer, from: number): number {
    let at = this.#grow(chunk, from);
    if (this.#carried < this.#carry.length) return -1;
    if (this.#carry === this.#header) {
      const length = payloadLength(this.#header, 0);
      this.#carry = Buffer.allocUnsafe(frameHeaderBytes + length);
      this.#header.copy(this.#carry);
      at = this.#grow(chunk, at);
      if (this.#carried < this.#carry.length) return -1;
    }
    this.#fill(this.#carry, 0, this.#carry.length);
    this.#carry = this.#header;
    this.#carried = 0;
    return at;
  }

  #grow(chunk: Buffer, from: number): number {
    const count = Math.min(this.#carry.length - this.#carried, chunk.length - from);
    chunk.copy(this.#carry, this.#carried, from, from + count);
    this.#carried += count;
    return from + count;
  }
}

function payloadLength(bytes: Buffer, at: number): number {
  const length = bytes.readUInt32BE(at) >>> 8;
  if (length > framePayloadBytesMax) {
    throw new ConnectionFault(ErrorCode.frameSizeError, `frame of ${length} bytes`);
  }
  return length;
}
