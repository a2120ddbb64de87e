// A client connection that costs next to nothing: gRPC calls over one socket, one write per turn.
// It reads frames, not headers: a unary call succeeded if a message came before its end.
import { connect, type Socket } from "node:net";
import type { Caller, MessageStream, OnReply, StreamEvents } from "./caller.ts";

/** Frame types of HTTP/2 (RFC 9113, section 6). */
const FrameType = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
} as const;

const Flag = { endStream: 1, ack: 1, endHeaders: 4, padded: 8 } as const;
const Setting = { headerTableSize: 1, initialWindow: 4, frameBytesMax: 5 } as const;

const frameHeaderBytes = 9;
const grpcPrefixBytes = 5;
/** What the server may send before we give it more; far above any answer. */
const receiveWindowBytes = 64 << 20;
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

interface Stream {
  /** Undefined for a unary call. */
  readonly events: StreamEvents | undefined;
  readonly onReply: OnReply;
  /** The answer of a unary call, as it came: mostly one piece, which is then not copied. */
  readonly parts: Buffer[];
  /** The beginning of a stream's next message. */
  rest: Buffer | undefined;
  /** Since we last gave the server more room on this stream. */
  receivedBytes: number;
}

interface Waiting {
  readonly bytes: number;
  readonly send: () => void;
  /** Undefined for a message of a stream. */
  readonly onReply?: OnReply;
}

export class GrpcConnection implements Caller {
  readonly #socket: Socket;
  readonly #headers: HeaderBlocks;
  readonly #streams = new Map<number, Stream>();
  /** Calls that the connection's window holds back; as many as the caller has in flight. */
  readonly #waiting: Waiting[] = [];
  #out = Buffer.allocUnsafe(1 << 16);
  #outBytes = 0;
  #unparsed: Buffer | undefined;
  #nextStream = 1;
  #sendWindowBytes = 65_535;
  #streamWindowBytes = 65_535;
  #frameBytesMax = 16_384;
  #receivedBytes = 0;
  #onSettings: (() => void) | undefined;
  #gone: string | undefined;

  private constructor(socket: Socket, authority: string) {
    this.#socket = socket;
    this.#headers = new HeaderBlocks(authority);
    socket.setNoDelay(true);
    socket.on("data", (chunk) => this.#onData(chunk));
    socket.on("error", (error) => this.#onGone(error.message));
    socket.on("close", () => this.#onGone("connection closed"));
    this.#write(Buffer.from(preface, "latin1"));
    // No dynamic table on our side, wide windows.
    const settings = [0, Setting.headerTableSize, 0, 0, 0, 0, 0, Setting.initialWindow];
    this.#frame(FrameType.settings, 0, 0, Buffer.from([...settings, ...word(receiveWindowBytes)]));
    this.#frame(FrameType.windowUpdate, 0, 0, Buffer.from(word(receiveWindowBytes)));
    this.flush();
  }

  /** @param endpoint host:port. Resolves when the server has sent its settings. */
  static async open(endpoint: string): Promise<GrpcConnection> {
    const colon = endpoint.lastIndexOf(":");
    const socket = connect(Number(endpoint.slice(colon + 1)), endpoint.slice(0, colon));
    const connection = new GrpcConnection(socket, endpoint);
    await new Promise<void>((resolve, reject) => {
      connection.#onSettings = resolve;
      socket.once("close", () => reject(new Error(`${endpoint}: ${connection.#gone}`)));
    });
    return connection;
  }

  get isGone(): boolean {
    return this.#gone !== undefined;
  }

  call(path: string, message: Uint8Array, onReply: OnReply): void {
    const gone = this.#gone;
    if (gone !== undefined) {
      // Later, so that a caller that tries again at once does not end up in its own depths.
      queueMicrotask(() => onReply(undefined, gone));
      return;
    }
    const bytes = message.length + grpcPrefixBytes;
    if (bytes > this.#streamWindowBytes) throw new Error("a message larger than a stream's window");
    if (this.#waiting.length > 0 || bytes > this.#sendWindowBytes) {
      const kept = Buffer.from(message);
      this.#waiting.push({ bytes, send: () => this.#send(path, kept, onReply), onReply });
    } else {
      this.#send(path, message, onReply);
    }
  }

  stream(path: string, events: StreamEvents): MessageStream {
    const id = this.#nextStream;
    this.#nextStream += 2;
    const onReply: OnReply = (_reply, why) => events.onEnd(why);
    this.#streams.set(id, { events, onReply, parts: [], rest: undefined, receivedBytes: 0 });
    this.#frame(FrameType.headers, Flag.endHeaders, id, this.#headers.of(path));
    return { send: (message) => this.#sendOn(id, message) };
  }

  flush(): void {
    if (this.#outBytes === 0) return;
    this.#socket.write(Buffer.from(this.#out.subarray(0, this.#outBytes)));
    this.#outBytes = 0;
  }

  close(): void {
    this.#socket.destroy();
  }

  #send(path: string, message: Uint8Array, onReply: OnReply): void {
    const stream = this.#nextStream;
    this.#nextStream += 2;
    this.#streams.set(stream, {
      events: undefined,
      onReply,
      parts: [],
      rest: undefined,
      receivedBytes: 0,
    });
    this.#frame(FrameType.headers, Flag.endHeaders, stream, this.#headers.of(path));
    this.#sendMessage(stream, message, Flag.endStream);
  }

  #sendOn(stream: number, message: Uint8Array): void {
    const bytes = message.length + grpcPrefixBytes;
    if (this.#waiting.length === 0 && bytes <= this.#sendWindowBytes) {
      this.#sendMessage(stream, message, 0);
      return;
    }
    const kept = Buffer.from(message);
    this.#waiting.push({ bytes, send: () => this.#sendMessage(stream, kept, 0) });
  }

  #sendMessage(stream: number, message: Uint8Array, lastFlag: number): void {
    this.#sendWindowBytes -= message.length + grpcPrefixBytes;
    // The prefix counts as the head of the first frame.
    let room = this.#frameBytesMax - grpcPrefixBytes;
    for (let from = 0; from === 0 || from < message.length; room = this.#frameBytesMax) {
      const to = Math.min(from + room, message.length);
      const isFirst = from === 0;
      const flags = to === message.length ? lastFlag : 0;
      const bytes = to - from + (isFirst ? grpcPrefixBytes : 0);
      this.#frameHeader(FrameType.data, flags, stream, bytes);
      if (isFirst) this.#write([0, ...word(message.length)]);
      this.#write(message.subarray(from, to));
      from = to;
      if (to === message.length) break;
    }
  }

  #frame(type: number, flags: number, stream: number, payload: Uint8Array): void {
    this.#frameHeader(type, flags, stream, payload.length);
    this.#write(payload);
  }

  #frameHeader(type: number, flags: number, stream: number, payloadBytes: number): void {
    this.#reserve(frameHeaderBytes);
    const out = this.#out;
    let at = out.writeUIntBE(payloadBytes, this.#outBytes, 3);
    out[at++] = type;
    out[at++] = flags;
    this.#outBytes = out.writeUInt32BE(stream, at);
  }

  #write(bytes: ArrayLike<number>): void {
    this.#reserve(bytes.length);
    this.#out.set(bytes, this.#outBytes);
    this.#outBytes += bytes.length;
  }

  #reserve(bytes: number): void {
    if (this.#outBytes + bytes <= this.#out.length) return;
    const grown = Buffer.allocUnsafe(2 * (this.#outBytes + bytes));
    this.#out.copy(grown, 0, 0, this.#outBytes);
    this.#out = grown;
  }

  #onData(chunk: Buffer): void {
    const bytes = this.#unparsed ? Buffer.concat([this.#unparsed, chunk]) : chunk;
    let at = 0;
    while (bytes.length - at >= frameHeaderBytes) {
      const end = at + frameHeaderBytes + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      this.#onFrame(bytes, at, end);
      at = end;
    }
    this.#unparsed = at === bytes.length ? undefined : bytes.subarray(at);
    this.flush();
  }

  #onFrame(bytes: Buffer, at: number, end: number): void {
    const type = bytes[at + 3];
    const flags = bytes[at + 4] ?? 0;
    const stream = bytes.readUInt32BE(at + 5);
    const payload = bytes.subarray(at + frameHeaderBytes, end);
    switch (type) {
      case FrameType.data:
        this.#onBody(stream, (flags & Flag.padded) !== 0 ? unpadded(payload) : payload);
        this.#onReceived(payload.length);
        if ((flags & Flag.endStream) !== 0) this.#onEnd(stream, "no message");
        return;
      case FrameType.headers:
        if ((flags & Flag.endStream) !== 0) this.#onEnd(stream, payload.toString("latin1"));
        return;
      case FrameType.reset:
        this.#onReset(stream, payload.readUInt32BE(0));
        return;
      case FrameType.settings:
        if ((flags & Flag.ack) === 0) this.#onSettingsFrame(payload);
        return;
      case FrameType.ping:
        if ((flags & Flag.ack) === 0) this.#frame(FrameType.ping, Flag.ack, 0, payload);
        return;
      case FrameType.goAway:
        this.#onGone(`the server said farewell with code ${payload.readUInt32BE(4)}`);
        return;
      case FrameType.windowUpdate:
        if (stream === 0) this.#onWindow(payload.readUInt32BE(0));
        return;
    }
  }

  #onBody(id: number, payload: Buffer): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    if (stream.events === undefined) {
      stream.parts.push(payload);
      return;
    }
    const bytes = stream.rest ? Buffer.concat([stream.rest, payload]) : payload;
    stream.rest = messagesOf(bytes, stream.events);
    stream.receivedBytes += payload.length;
    if (stream.receivedBytes < receiveWindowBytes / 2) return;
    this.#frame(FrameType.windowUpdate, 0, id, Buffer.from(word(stream.receivedBytes)));
    stream.receivedBytes = 0;
  }

  #onReceived(bytes: number): void {
    this.#receivedBytes += bytes;
    if (this.#receivedBytes < receiveWindowBytes / 2) return;
    this.#frame(FrameType.windowUpdate, 0, 0, Buffer.from(word(this.#receivedBytes)));
    this.#receivedBytes = 0;
  }

  #onEnd(id: number, trailers: string): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    this.#streams.delete(id);
    const { parts, onReply } = stream;
    const [first] = parts;
    if (first === undefined) onReply(undefined, trailers);
    else onReply((parts.length === 1 ? first : Buffer.concat(parts)).subarray(grpcPrefixBytes), "");
  }

  #onReset(id: number, code: number): void {
    const stream = this.#streams.get(id);
    this.#streams.delete(id);
    stream?.onReply(undefined, `reset with code ${code}`);
  }

  #onSettingsFrame(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      const value = payload.readUInt32BE(at + 2);
      const name = payload.readUInt16BE(at);
      if (name === Setting.headerTableSize) this.#headers.limit(value);
      if (name === Setting.initialWindow) this.#streamWindowBytes = value;
      if (name === Setting.frameBytesMax) this.#frameBytesMax = value;
    }
    this.#frame(FrameType.settings, Flag.ack, 0, Buffer.alloc(0));
    this.#onSettings?.();
  }

  #onWindow(bytes: number): void {
    this.#sendWindowBytes += bytes;
    for (;;) {
      const [first] = this.#waiting;
      if (!first || first.bytes > this.#sendWindowBytes) return;
      this.#waiting.shift();
      first.send();
    }
  }

  #onGone(why: string): void {
    if (this.#gone !== undefined) return;
    this.#gone = why;
    this.#socket.destroy();
    const calls = [...this.#streams.values(), ...this.#waiting];
    this.#streams.clear();
    this.#waiting.length = 0;
    for (const { onReply } of calls) onReply?.(undefined, why);
  }
}

/** Hands over the whole messages in `bytes`. @returns the rest; undefined for none. */
function messagesOf(bytes: Buffer, events: StreamEvents): Buffer | undefined {
  let at = 0;
  while (bytes.length - at >= grpcPrefixBytes) {
    const from = at + grpcPrefixBytes;
    const to = from + bytes.readUInt32BE(at + 1);
    if (to > bytes.length) break;
    events.onMessage(bytes.subarray(from, to));
    at = to;
  }
  return at === bytes.length ? undefined : bytes.subarray(at);
}

/** Request headers by HPACK (RFC 7541): spelled once, then one byte each, as other clients do. */
class HeaderBlocks {
  readonly #authority: string;
  /** Name and value of each entry that the server keeps for us, oldest first. */
  readonly #kept: string[] = [];
  readonly #blocks = new Map<string, Buffer>();
  #mayKeep = true;

  constructor(authority: string) {
    this.#authority = authority;
  }

  /** @param tableBytes what the server will keep; below a few entries' worth we ask for nothing. */
  limit(tableBytes: number): void {
    this.#mayKeep = tableBytes >= 1024;
  }

  of(path: string): Buffer {
    const ready = this.#blocks.get(path);
    if (ready) return ready;
    const keptBefore = this.#kept.length;
    const block = Buffer.concat([
      // ":method POST" and ":scheme http" have fixed numbers.
      Buffer.from([0x83, 0x86]),
      this.#field(4, ":path", path),
      this.#field(1, ":authority", this.#authority),
      this.#field(31, "content-type", "application/grpc"),
      this.#field(0, "te", "trailers"),
    ]);
    if (this.#kept.length === keptBefore) this.#blocks.set(path, block);
    // New entries renumber the old ones.
    else this.#blocks.clear();
    return block;
  }

  #field(staticName: number, name: string, value: string): Buffer {
    const entry = `${name}: ${value}`;
    const age = this.#kept.length - 1 - this.#kept.indexOf(entry);
    // The newest entry has number 62; with few paths the number stays in one byte.
    if (this.#kept.includes(entry)) return Buffer.from([0x80 | (62 + age)]);
    if (this.#mayKeep) this.#kept.push(entry);
    const head = (this.#mayKeep ? 0x40 : 0) | (this.#mayKeep || staticName < 15 ? staticName : 0);
    const spelled = staticName === 0 || (!this.#mayKeep && staticName >= 15);
    return Buffer.concat([
      Buffer.from([head]),
      spelled ? text(name) : Buffer.alloc(0),
      text(value),
    ]);
  }
}

function text(value: string): Buffer {
  if (value.length > 126) throw new Error(`too long for a header: ${value}`);
  return Buffer.from([value.length, ...Buffer.from(value, "latin1")]);
}

function unpadded(payload: Buffer): Buffer {
  return payload.subarray(1, payload.length - (payload[0] ?? 0));
}

function word(value: number): readonly number[] {
  return [(value >>> 24) & 0xff, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}
