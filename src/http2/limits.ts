// Every bound of the HTTP/2 server has its name and its default here.

export interface Http2Limits {
  /** Connections of one server; a further one is closed at once. */
  readonly connectionsMax: number;
  /** Open streams of one connection, told to the peer; a further one is refused (REFUSED_STREAM). */
  readonly streamsPerConnectionMax: number;
  /** Decoded header list as RFC 9113 6.5.2 counts it, told to the peer; beyond: ENHANCE_YOUR_CALM on the stream. */
  readonly headerListBytesMax: number;
  /** Encoded header block over all its frames; beyond: the connection ends with ENHANCE_YOUR_CALM. */
  readonly headerBlockBytesMax: number;
  /** CONTINUATION frames of one block; beyond: the connection ends with ENHANCE_YOUR_CALM. */
  readonly continuationFramesMax: number;
  /** Streams reset by the peer, or by us for its faults: at once, and per second in the long run. */
  readonly resetsBurstMax: number;
  readonly resetsPerSecMax: number;
  /** Frames that carry no work (PING, SETTINGS, empty DATA, PRIORITY, unknown): as above. */
  readonly idleFramesBurstMax: number;
  readonly idleFramesPerSecMax: number;
  /** Bytes framed and not yet taken by the socket; above it no more DATA is framed. */
  readonly outputBytesHigh: number;
  /** The same; above it the connection is not read until the socket has taken all. */
  readonly outputBytesMax: number;
  /** Answer bytes that wait for windows or the socket; beyond: the answer is refused. */
  readonly queuedBytesPerConnectionMax: number;
  readonly queuedBytesServerMax: number;
  /** Bytes of unfinished request messages; beyond: the request is refused. */
  readonly heldBytesPerConnectionMax: number;
  readonly heldBytesServerMax: number;
  /** Window beyond the initial one lent to long messages of one connection; others wait for their turn. */
  readonly lentBytesPerConnectionMax: number;
  /** Receive window of a connection, at least 65,535. That of a stream starts at the protocol's 65,535. */
  readonly connectionWindowBytes: number;
  /** From accept to the peer's preface, SETTINGS and the acknowledgement of ours. */
  readonly handshakeMsMax: number;
  /** An answer to PING waits for output of open calls: so long at least, twice as long at most. */
  readonly pingHoldMs: number;
  /** Without the socket taking a byte that waits for it. */
  readonly stallMsMax: number;
  /** Without window for an answer that is whole: nobody reads it, and its stream is reset. */
  readonly answerStallMsMax: number;
  /** From our last frame to the end of the socket. */
  readonly lingerMsMax: number;
}

const kib = 1024;
const mib = 1024 * kib;

export const defaultHttp2Limits: Http2Limits = {
  connectionsMax: 10_000,
  streamsPerConnectionMax: 32_768,
  headerListBytesMax: 64 * kib,
  headerBlockBytesMax: 64 * kib,
  continuationFramesMax: 64,
  resetsBurstMax: 10_000,
  resetsPerSecMax: 1_000,
  idleFramesBurstMax: 10_000,
  idleFramesPerSecMax: 500,
  outputBytesHigh: 256 * kib,
  outputBytesMax: mib,
  queuedBytesPerConnectionMax: 256 * mib,
  queuedBytesServerMax: 512 * mib,
  heldBytesPerConnectionMax: 128 * mib,
  heldBytesServerMax: 512 * mib,
  lentBytesPerConnectionMax: 16 * mib,
  connectionWindowBytes: 4 * mib,
  handshakeMsMax: 10_000,
  pingHoldMs: 25,
  stallMsMax: 20_000,
  answerStallMsMax: 60_000,
  lingerMsMax: 1_000,
};

/** A token bucket: `burstMax` at once, `perSecMax` in the long run. */
export class Allowance {
  readonly #burstMax: number;
  readonly #perSecMax: number;
  #left: number;

  constructor(options: { readonly burstMax: number; readonly perSecMax: number }) {
    this.#burstMax = options.burstMax;
    this.#perSecMax = options.perSecMax;
    this.#left = options.burstMax;
  }

  /** @returns false when the bucket is empty. */
  take(cost: number): boolean {
    this.#left -= cost;
    return this.#left >= 0;
  }

  /** Useful work of the peer buys tokens. */
  earn(tokens: number): void {
    this.#left = Math.min(this.#burstMax, this.#left + tokens);
  }

  refill(elapsedMs: number): void {
    this.earn((this.#perSecMax * elapsedMs) / 1000);
  }
}

/** Bytes in use below a maximum, counted in the parent too. */
export class ByteBudget {
  readonly #bytesMax: number;
  readonly #parent: ByteBudget | undefined;
  #bytes = 0;

  constructor(bytesMax: number, parent?: ByteBudget) {
    this.#bytesMax = bytesMax;
    this.#parent = parent;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @returns false, with nothing counted, when this or the parent would pass its maximum. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.#bytesMax) return false;
    if (this.#parent !== undefined && !this.#parent.take(bytes)) return false;
    this.#bytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
    this.#parent?.give(bytes);
  }
}
