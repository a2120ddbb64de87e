// The one port of a member: bound early, served later, and sorted by the first bytes of a connection.
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type Log, silentLog } from "../base/ports.ts";
import type { Http1Server } from "../gateway/http1.ts";
import type { MethodTable } from "../grpc/call.ts";
import { defaultGrpcLimits, type GrpcLimits } from "../grpc/exchange.ts";
import { GrpcServer } from "../grpc/server.ts";
import { GrpcStats } from "../grpc/stats.ts";
import { usualFields } from "../grpc/status.ts";
import { connectionPreface } from "../http2/frames.ts";
import { defaultHttp2Limits, type Http2Limits } from "../http2/limits.ts";
import { Http2Server } from "../http2/server.ts";
import { systemTimers, type Timers } from "../http2/timers.ts";
import type { HttpDoor } from "./httpDoor.ts";

export interface ListenerOptions {
  /** A method threw something other than a refusal; by default it is thrown on. */
  readonly onMistake?: (error: unknown) => void;
  /** Asks the owner to call `flush` once, at the end of the turn; by default setImmediate does. */
  readonly requestFlush?: () => void;
  readonly http2?: Partial<Http2Limits>;
  readonly grpc?: Partial<GrpcLimits>;
  /** Where calls are counted. */
  readonly stats?: GrpcStats;
  readonly timers?: Timers;
  readonly log?: Log;
}

export interface ListenAddress {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

/** First bytes that tell nothing yet are waited for; the shortest telling ones are three long. */
const http2Mark = connectionPreface.subarray(0, 3);
const http1Start = /^[A-Z]{1,20}( |$)/;
const http1Refusal =
  "HTTP/1.1 505 HTTP Version Not Supported\r\n" +
  "content-type: text/plain\r\nconnection: close\r\ncontent-length: 27\r\n\r\n" +
  "this port speaks gRPC only\n";
const keepAliveAfterMs = 60_000;

export class Listener {
  readonly #options: ListenerOptions;
  readonly #http2Limits: Http2Limits;
  readonly #timers: Timers;
  readonly #log: Log;
  readonly #server: Server;
  /** Accepted, not yet told apart; with what was read of each. */
  readonly #fresh = new Map<Duplex, Buffer>();
  /** Every socket that is not closed. */
  readonly #sockets = new Set<Socket>();
  #http2: Http2Server | undefined;
  #http1: Http1Server | undefined;

  constructor(options: ListenerOptions = {}) {
    this.#options = options;
    this.#http2Limits = { ...defaultHttp2Limits, ...options.http2 };
    this.#timers = options.timers ?? systemTimers;
    this.#log = options.log ?? silentLog;
    // Delayed acknowledgements and our one write per turn do not go together.
    this.#server = createServer({ noDelay: true, pauseOnConnect: true });
    this.#server.on("connection", (socket) => this.#onConnection(socket));
  }

  /**
   * Binds. Connections wait, unread, until `serve`.
   * @returns the bound address. @throws the system's error, such as EADDRINUSE.
   */
  listen(address: ListenAddress): Promise<ListenAddress> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ host: address.host, port: address.port }, () => {
        this.#server.off("error", reject);
        this.#server.on("error", (error) => this.#log.warn("accept failed", { why: `${error}` }));
        const bound = this.#server.address() as AddressInfo;
        resolve({ host: bound.address, port: bound.port });
      });
    });
  }

  /**
   * Starts to answer, those first who have waited. Called once.
   * @param http whoever speaks HTTP/1; without it such connections are refused.
   */
  serve(methods: MethodTable, http?: HttpDoor): void {
    this.#http1 = http?.http1;
    const timers = this.#timers;
    const handler = new GrpcServer({
      methods,
      limits: { ...defaultGrpcLimits, ...this.#options.grpc },
      timers,
      stats: this.#options.stats ?? new GrpcStats(),
      onMistake: this.#options.onMistake ?? throwOn,
    });
    this.#http2 = new Http2Server({
      handler,
      usual: usualFields,
      limits: this.#http2Limits,
      timers,
      requestFlush: this.#options.requestFlush ?? (() => setImmediate(() => this.flush())),
    });
    for (const socket of [...this.#fresh.keys()]) this.#sniff(socket);
  }

  /** Writes the output of the turn, once per connection. */
  flush(): void {
    this.#http2?.flush();
  }

  /**
   * Stops to accept, lets open calls finish for `graceMs` at most, closes everything.
   * Resolves when nothing is open any more.
   */
  async close(options: { readonly graceMs: number }): Promise<void> {
    const stopped = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const drained = new Promise<void>((resolve) => {
      if (this.#http2 === undefined) resolve();
      else this.#http2.shutdown(options.graceMs, resolve);
    });
    await Promise.all([drained, this.#http1?.close(options.graceMs)]);
    for (const socket of this.#sockets) socket.destroy();
    await stopped;
  }

  #onConnection(socket: Socket): void {
    if (this.#sockets.size >= this.#http2Limits.connectionsMax) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    // A connection that breaks before it is told apart; later owners listen for themselves.
    socket.on("error", () => socket.destroy());
    socket.setKeepAlive(true, keepAliveAfterMs);
    this.#fresh.set(socket, Buffer.alloc(0));
    socket.once("close", () => this.#fresh.delete(socket));
    if (this.#http2 !== undefined) this.#sniff(socket);
  }

  // Here a TLS socket would enter just as well.
  #sniff(socket: Duplex): void {
    const cancelDeadline = this.#timers.after(this.#http2Limits.handshakeMsMax, () =>
      socket.destroy(),
    );
    const onData = (chunk: Buffer): void => {
      const first = Buffer.concat([this.#fresh.get(socket) ?? Buffer.alloc(0), chunk]);
      const kind = kindOf(first);
      this.#fresh.set(socket, first);
      if (kind === "unknown") return;
      cancelDeadline();
      socket.off("data", onData);
      this.#fresh.delete(socket);
      this.#handOver(socket, kind, first);
    };
    socket.on("data", onData);
    socket.once("close", cancelDeadline);
    socket.resume();
  }

  #handOver(socket: Duplex, kind: "http2" | "http1" | "garbage", first: Buffer): void {
    if (kind === "http2") {
      this.#http2?.accept(socket, first);
    } else if (kind === "garbage") {
      socket.destroy();
    } else if (this.#http1 !== undefined) {
      socket.pause();
      this.#http1.accept(socket, first);
    } else {
      socket.end(http1Refusal, () => socket.destroy());
    }
  }
}

function kindOf(first: Buffer): "http2" | "http1" | "garbage" | "unknown" {
  const known = first.subarray(0, http2Mark.length);
  if (known.equals(http2Mark.subarray(0, known.length))) {
    return known.length === http2Mark.length ? "http2" : "unknown";
  }
  const start = first.subarray(0, 21).toString("latin1");
  if (!http1Start.test(start)) return "garbage";
  return start.includes(" ") ? "http1" : "unknown";
}

function throwOn(error: unknown): never {
  throw error;
}
