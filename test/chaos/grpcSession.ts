// gRPC over one connection of Node's own HTTP/2 client, which shares no code with the server. Unlike a
// finished gRPC client it never reconnects or retries by itself: each of those is the test's to decide.
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";

export type GrpcAnswer =
  | { readonly kind: "ok"; readonly message: Buffer }
  | { readonly kind: "refused"; readonly code: number; readonly text: string }
  /** No answer: whatever was asked may have happened or may yet happen. */
  | { readonly kind: "lost"; readonly why: string }
  /** It never left: there was no connection. */
  | { readonly kind: "unsent"; readonly why: string };

export interface StreamHooks {
  onMessage(message: Buffer): void;
  /** Called once, last, however it ended. */
  onEnd(why: string): void;
}

export interface GrpcStream {
  send(message: Uint8Array): void;
  cancel(): void;
  /** Takes nothing from the connection until `resume`: the server's window closes. */
  pause(): void;
  resume(): void;
}

const prefixBytes = 5;

export class GrpcSession {
  readonly #session: ClientHttp2Session;
  #wasConnected = false;
  #why = "the connection was closed";

  constructor(endpoint: string) {
    this.#session = connect(`http://${endpoint}`);
    this.#session.on("connect", () => {
      this.#wasConnected = true;
    });
    this.#session.on("error", (error) => {
      this.#why = error.message;
    });
  }

  /** False once the connection is gone, or going: make a new session then. */
  get isOpen(): boolean {
    return !this.#session.destroyed && !this.#session.closed;
  }

  /** Never rejects. After `msMax` the call is cancelled and lost. */
  call(path: string, message: Uint8Array, msMax: number): Promise<GrpcAnswer> {
    return new Promise((resolve) => {
      const stream = this.#open(path);
      if (stream === undefined) {
        resolve({ kind: "unsent", why: this.#why });
        return;
      }
      let late = false;
      const timer = setTimeout(() => {
        late = true;
        stream.close(constants.NGHTTP2_CANCEL);
      }, msMax);
      const answer = new Answer(stream);
      stream.on("close", () => {
        clearTimeout(timer);
        const why = late ? `no answer in ${msMax} ms` : this.#why;
        resolve(answer.status ?? { kind: this.#wasConnected ? "lost" : "unsent", why });
      });
      stream.end(framed(message));
    });
  }

  stream(path: string, hooks: StreamHooks): GrpcStream | undefined {
    const stream = this.#open(path);
    if (stream === undefined) return undefined;
    const answer = new Answer(stream, (message) => hooks.onMessage(message));
    stream.on("close", () => {
      const { status } = answer;
      hooks.onEnd(status?.kind === "refused" ? `${status.code} ${status.text}` : this.#why);
    });
    return {
      send: (message) => void stream.write(framed(message)),
      cancel: () => stream.close(constants.NGHTTP2_CANCEL),
      pause: () => void stream.pause(),
      resume: () => void stream.resume(),
    };
  }

  close(): void {
    this.#session.destroy();
  }

  #open(path: string): ClientHttp2Stream | undefined {
    if (!this.isOpen) return undefined;
    try {
      const stream = this.#session.request({
        ":method": "POST",
        ":path": path,
        "content-type": "application/grpc",
        te: "trailers",
      });
      stream.on("error", (error) => {
        this.#why = error.message;
      });
      return stream;
    } catch (error) {
      // The session went away between the question and the request.
      this.#why = String(error);
      return undefined;
    }
  }
}

/** What arrives on one stream: messages, and the status at its end. */
class Answer {
  readonly #onMessage: (message: Buffer) => void;
  #bytes: Buffer = Buffer.alloc(0);
  #message: Buffer | undefined;
  #code: number | undefined;
  #text = "";

  /** @param onMessage without it the last message is the answer. */
  constructor(stream: ClientHttp2Stream, onMessage?: (message: Buffer) => void) {
    this.#onMessage =
      onMessage ??
      ((message) => {
        this.#message = message;
      });
    stream.on("data", (chunk: Buffer) => this.#onData(chunk));
    const onHeaders = (headers: Readonly<Record<string, unknown>>): void => {
      if (headers["grpc-status"] === undefined) return;
      this.#code = Number(headers["grpc-status"]);
      this.#text = decodeURIComponent(`${headers["grpc-message"] ?? ""}`);
    };
    stream.on("response", onHeaders);
    stream.on("trailers", onHeaders);
  }

  /** undefined: it ended without a status. */
  get status(): GrpcAnswer | undefined {
    if (this.#code === undefined) return undefined;
    if (this.#code !== 0) return { kind: "refused", code: this.#code, text: this.#text };
    if (this.#message === undefined) return { kind: "refused", code: 13, text: "no message" };
    return { kind: "ok", message: this.#message };
  }

  #onData(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    while (this.#bytes.length >= prefixBytes) {
      const to = prefixBytes + this.#bytes.readUInt32BE(1);
      if (this.#bytes.length < to) return;
      this.#onMessage(this.#bytes.subarray(prefixBytes, to));
      this.#bytes = this.#bytes.subarray(to);
    }
  }
}

function framed(message: Uint8Array): Buffer {
  const bytes = Buffer.alloc(prefixBytes + message.length);
  bytes.writeUInt32BE(message.length, 1);
  bytes.set(message, prefixBytes);
  return bytes;
}
