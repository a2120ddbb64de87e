// A client that writes any bytes it likes and reads frames one by one.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import {
  connectionPreface,
  Flag,
  FrameReader,
  FrameType,
  frameHeaderBytes,
  initialWindowBytes,
} from "../../src/http2/frames.ts";
import { HpackDecoder } from "../../src/http2/hpack.ts";
import { writeFrameHeader } from "../../src/http2/output.ts";
import { type Pair, plainLiteral } from "./hpackEncoder.ts";

export interface ReadFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
  /** Of a HEADERS frame. */
  readonly fields: ReadonlyMap<string, string> | undefined;
}

/** What a call came to. */
export interface Answer {
  readonly head: ReadonlyMap<string, string>;
  readonly body: Buffer;
  readonly trailers: ReadonlyMap<string, string>;
}

export function frameBytes(type: number, flags: number, id: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(frameHeaderBytes + payload.length);
  writeFrameHeader(bytes, 0, type, flags, id, payload.length);
  bytes.set(payload, frameHeaderBytes);
  return bytes;
}

export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

export function setting(id: number, value: number): Buffer {
  return Buffer.concat([Buffer.from([id >> 8, id & 0xff]), u32(value)]);
}

export const grpcHeaders = (path: string, more: readonly Pair[] = []): Buffer =>
  headerBlock([
    [":method", "POST"],
    [":scheme", "http"],
    [":path", path],
    ["content-type", "application/grpc"],
    ["te", "trailers"],
    ...more,
  ]);

export const headerBlock = (pairs: readonly Pair[]): Buffer =>
  Buffer.concat(pairs.map(plainLiteral));

/** A gRPC message with its prefix. */
export function grpcMessage(body: Uint8Array | string): Buffer {
  const bytes = Buffer.from(body);
  return Buffer.concat([Buffer.from([0]), u32(bytes.length), bytes]);
}

export class RawPeer {
  readonly socket: Socket;
  readonly #reader = new FrameReader();
  readonly #decoder = new HpackDecoder({ listBytesMax: 1 << 20 });
  readonly #frames: ReadFrame[] = [];
  #wake: () => void = () => {};
  #closed = false;
  /** The first bytes that came, for peers that are not answered in frames. */
  text = "";
  /** What the peer lets us send on the connection; the sender takes off what it sends. */
  connectionWindow = initialWindowBytes;
  /** Acknowledges SETTINGS and answers nothing else by itself. */
  acknowledges = true;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      if (this.text.length < 4096) this.text += chunk.toString("latin1", 0, 4096);
      if (!this.text.startsWith("HTTP/1")) this.#reader.push(chunk, 0, this);
      this.#wake();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#closed = true;
      this.#wake();
    });
  }

  static async open(port: number): Promise<RawPeer> {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    await once(socket, "connect");
    return new RawPeer(socket);
  }

  /** Open, with preface and these settings sent. */
  static async start(port: number, settings: readonly Buffer[] = []): Promise<RawPeer> {
    const peer = await RawPeer.open(port);
    peer.send(connectionPreface);
    peer.frame(FrameType.settings, 0, 0, Buffer.concat(settings));
    return peer;
  }

  send(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  frame(type: number, flags: number, id: number, payload: Uint8Array = Buffer.alloc(0)): void {
    this.send(frameBytes(type, flags, id, payload));
  }

  headers(id: number, block: Uint8Array, flags = 0): void {
    this.frame(FrameType.headers, Flag.endHeaders | flags, id, block);
  }

  data(id: number, payload: Uint8Array, flags = 0): void {
    this.frame(FrameType.data, flags, id, payload);
  }

  /** A whole unary call with a message that fits a frame. */
  call(id: number, path: string, message: Uint8Array | string, more: readonly Pair[] = []): void {
    this.headers(id, grpcHeaders(path, more));
    this.data(id, grpcMessage(message), Flag.endStream);
  }

  window(id: number, increment: number): void {
    this.frame(FrameType.windowUpdate, 0, id, u32(increment));
  }

  onFrame(frame: {
    type: number;
    flags: number;
    streamId: number;
    bytes: Buffer;
    from: number;
    to: number;
  }): boolean {
    const { type, flags, streamId } = frame;
    const payload = Buffer.from(frame.bytes.subarray(frame.from, frame.to));
    // Decoded on arrival, as dropped frames change the table too.
    const fields = type === FrameType.headers ? this.#decode(payload) : undefined;
    if (type === FrameType.windowUpdate && streamId === 0) {
      this.connectionWindow += payload.readUInt32BE(0);
    }
    this.#frames.push({ type, flags, streamId, payload, fields });
    if (type === FrameType.settings && flags === 0 && this.acknowledges) {
      this.frame(FrameType.settings, Flag.ack, 0);
    }
    return true;
  }

  /** The next frame that matches; those before it are dropped. */
  async next(match: (frame: ReadFrame) => boolean, what: string): Promise<ReadFrame> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame !== undefined && match(frame)) return frame;
      if (frame !== undefined) continue;
      assert.ok(!this.#closed, `closed while waiting for ${what}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** All frames up to the first HEADERS of a stream, that with it. */
  async upTo(head: number): Promise<readonly ReadFrame[]> {
    const frames: ReadFrame[] = [];
    for (let isThere = false; !isThere; ) {
      const frame = await this.next(() => true, `the head of ${head}`);
      frames.push(frame);
      isThere = frame.streamId === head && frame.fields !== undefined;
    }
    return frames;
  }

  /** Fields of all HEADERS up to the first of stream `last`, by stream. */
  async heads(last: number): Promise<ReadonlyMap<number, ReadonlyMap<string, string>>> {
    const frames = await this.upTo(last);
    return new Map(frames.flatMap(({ streamId, fields }) => (fields ? [[streamId, fields]] : [])));
  }

  async goaway(): Promise<{
    readonly code: number;
    readonly lastId: number;
    readonly debug: string;
  }> {
    const { payload } = await this.next(({ type }) => type === FrameType.goaway, "GOAWAY");
    return {
      lastId: payload.readUInt32BE(0),
      code: payload.readUInt32BE(4),
      debug: payload.toString("utf8", 8),
    };
  }

  async resetOf(id: number): Promise<number> {
    const match = ({ type, streamId }: ReadFrame): boolean =>
      type === FrameType.rstStream && streamId === id;
    const { payload } = await this.next(match, `RST_STREAM of ${id}`);
    return payload.readUInt32BE(0);
  }

  /** Everything up to the end of one stream; frames of others are dropped. */
  async answer(id: number): Promise<Answer> {
    const blocks: ReadonlyMap<string, string>[] = [];
    const body: Buffer[] = [];
    for (;;) {
      const isAnswer = ({ type }: ReadFrame): boolean =>
        type === FrameType.headers || type === FrameType.data || type === FrameType.rstStream;
      const frame = await this.next(isAnswer, `the answer on ${id}`);
      if (frame.streamId !== id) continue;
      assert.notEqual(frame.type, FrameType.rstStream, `stream ${id} was reset`);
      if (frame.fields === undefined) body.push(frame.payload);
      else blocks.push(frame.fields);
      if (!(frame.flags & Flag.endStream)) continue;
      const [head = new Map()] = blocks;
      return { head, body: Buffer.concat(body), trailers: blocks.at(-1) ?? head };
    }
  }

  async closed(): Promise<void> {
    while (!this.#closed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  destroy(): void {
    this.socket.destroy();
  }

  #decode(block: Buffer): Map<string, string> {
    this.#decoder.decode(block, 0, block.length);
    const fields = this.#decoder.fields.slice(0, this.#decoder.count);
    return new Map(fields.map(({ name, value }) => [name, value]));
  }
}
