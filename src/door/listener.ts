// The one port of a member: bound early, served later, and sorted by the first bytes of a connection.
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { type Log, silentLog } from "../base/ports.ts";
import type { Http1Server } from "../gateway/http1.ts";
import { gatewayRoute } from "../gateway/http2.ts";
import type { Gateway } from "../gateway/server.ts";
import type { MethodTable } from "../grpc/call.ts";
import { defaultGrpcLimits, type GrpcLimits } from "../grpc/exchange.ts";
import { GrpcServer } from "../grpc/server.ts";
import { GrpcStats } from "../grpc/stats.ts";
import { usualFields } from "../grpc/status.ts";
import { connectionPreface } from "../http2/frames.ts";
import { defaultHttp2Limits, type Http2Limits } from "../http2/limits.ts";
import { Http2Server } from "../http2/server.ts";
import type { RequestHandler } from "../http2/stream.ts";
import { systemTimers, type Timers } from "../http2/timers.ts";
import type { HttpDoor } from "./httpDoor.ts";
import { type OwnCertificate, TlsDoor, type TlsSettings } from "./tls.ts";

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

export interface UnixAddress {
  readonly path: string;
}

/** What one address serves. */
export interface DoorRules {
  /** Missing: plain text. With it nothing else is understood. */
  readonly tls?: TlsSettings | OwnCertificate;
  /**
   * "grpc" and "http" each leave out the other, as with etcd's --listen-client-http-urls; "metrics"
   * are those and health alone, over HTTP/1.1, as with --listen-metrics-urls.
   */
  readonly serves?: Serves;
}

type Serves = "all" | "grpc" | "http" | "metrics";

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
  readonly #servers: Server[] = [];
  /** Accepted, not yet told apart; with what was read of each. */
  readonly #fresh = new Map<Socket, Fresh>();
  /** Every socket that is not closed. */
  readonly #sockets = new Set<Socket>();
  #http2: Http2Server | undefined;
  #http1: Http1Server | undefined;

  constructor(options: ListenerOptions = {}) {
    this.#options = options;
    this.#http2Limits = { ...defaultHttp2Limits, ...options.http2 };
    this.#timers = options.timers ?? systemTimers;
    this.#log = options.log ?? silentLog;
  }

  /**
   * Binds one more address. Connections wait, unread, until `serve`.
   * @returns the bound address. @throws the system's error, such as EADDRINUSE, or for certificates
   *          that cannot be used.
   */
  async listen(address: ListenAddress, rules: DoorRules = {}): Promise<ListenAddress> {
    const bound = (await this.#listen(address, rules)).address() as AddressInfo;
    return { host: bound.address, port: bound.port };
  }

  /** The same for a unix socket; one that nobody listens on any more is to be removed before. */
  async listenUnix(address: UnixAddress, rules: DoorRules = {}): Promise<void> {
    await this.#listen(address, rules);
  }

  async #listen(address: ListenAddress | UnixAddress, rules: DoorRules): Promise<Server> {
    const { serves = "all" } = rules;
    const secure =
      rules.tls &&
      new TlsDoor({
        settings: rules.tls,
        handshakeMsMax: this.#http2Limits.handshakeMsMax,
        log: this.#log,
        clock: this.#timers,
        onSecure: (socket) => this.#welcome(socket, { serves, secure: undefined }),
      });
    // Delayed acknowledgements and our one write per turn do not go together.
    const server = createServer({ noDelay: true, pauseOnConnect: true });
    server.on("connection", (socket) => this.#onConnection(socket, { serves, secure }));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ ...address }, () => {
        server.off("error", reject);
        server.on("error", (error) => this.#log.warn("accept failed", { why: `${error}` }));
        resolve();
      });
    });
    this.#servers.push(server);
    return server;
  }

  /**
   * Starts to answer, those first who have waited. Called once.
   * @param http whoever speaks HTTP/1; without it such connections are refused.
   */
  serve(methods: MethodTable, http?: HttpDoor): void {
    this.#http1 = http?.http1;
    const timers = this.#timers;
    const grpc = new GrpcServer({
      methods,
      limits: { ...defaultGrpcLimits, ...this.#options.grpc },
      timers,
      stats: this.#options.stats ?? new GrpcStats(),
      onMistake: this.#options.onMistake ?? throwOn,
    });
    this.#http2 = new Http2Server({
      handler: http === undefined ? grpc : besideGateway(grpc, http.gateway),
      usual: usualFields,
      limits: this.#http2Limits,
      timers,
      requestFlush: this.#options.requestFlush ?? (() => setImmediate(() => this.flush())),
    });
    for (const [socket, { way }] of [...this.#fresh]) this.#begin(socket, way);
  }

  /** Writes the output of the turn, once per connection. */
  flush(): void {
    this.#http2?.flush();
    this.#http1?.flush();
  }

  /**
   * Stops to accept, lets open calls finish for `graceMs` at most, closes everything.
   * Resolves when nothing is open any more.
   */
  async close(options: { readonly graceMs: number }): Promise<void> {
    const stopped = Promise.all(
      this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
    );
    const drained = new Promise<void>((resolve) => {
      if (this.#http2 === undefined) resolve();
      else this.#http2.shutdown(options.graceMs, resolve);
    });
    await Promise.all([drained, this.#http1?.close(options.graceMs)]);
    for (const socket of this.#sockets) socket.destroy();
    await stopped;
  }

  #onConnection(socket: Socket, way: Way): void {
    if (this.#sockets.size >= this.#http2Limits.connectionsMax) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    // A connection that breaks before it is told apart; later owners listen for themselves.
    socket.on("error", () => socket.destroy());
    socket.setKeepAlive(true, keepAliveAfterMs);
    this.#welcome(socket, way);
  }

  // A socket that may be read, plain or out of a handshake.
  #welcome(socket: Socket, way: Way): void {
    this.#fresh.set(socket, { first: Buffer.alloc(0), way });
    socket.on("error", () => socket.destroy());
    socket.once("close", () => this.#fresh.delete(socket));
    if (this.#http2 !== undefined) this.#begin(socket, way);
  }

  #begin(socket: Socket, way: Way): void {
    if (way.secure === undefined) this.#sniff(socket, way);
    else {
      this.#fresh.delete(socket);
      way.secure.accept(socket);
    }
  }

  #sniff(socket: Socket, way: Way): void {
    const cancelDeadline = this.#timers.after(this.#http2Limits.handshakeMsMax, () =>
      socket.destroy(),
    );
    const onData = (chunk: Buffer): void => {
      const first = Buffer.concat([this.#fresh.get(socket)?.first ?? Buffer.alloc(0), chunk]);
      const kind = kindOf(first);
      this.#fresh.set(socket, { first, way });
      if (kind === "unknown") return;
      cancelDeadline();
      socket.off("data", onData);
      this.#fresh.delete(socket);
      this.#handOver(socket, isServed(kind, way) ? kind : "garbage", { first, way });
    };
    socket.on("data", onData);
    socket.once("close", cancelDeadline);
    socket.resume();
  }

  #handOver(socket: Socket, kind: "http2" | "http1" | "garbage", { first, way }: Fresh): void {
    if (kind === "http2") {
      this.#http2?.accept(socket, first);
    } else if (kind === "garbage") {
      socket.destroy();
    } else if (this.#http1 !== undefined) {
      socket.pause();
      this.#http1.accept(socket, first, { pagesOnly: way.serves === "metrics" });
    } else {
      socket.end(http1Refusal, () => socket.destroy());
    }
  }
}

/** How connections of one address go. */
interface Way {
  readonly serves: Serves;
  /** Through a handshake first. */
  readonly secure: TlsDoor | undefined;
}

interface Fresh {
  readonly first: Buffer;
  readonly way: Way;
}

function isServed(kind: "http2" | "http1" | "garbage", { serves }: Way): boolean {
  if (serves === "metrics") return kind === "http1";
  return kind !== "http1" || serves !== "grpc";
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

// One port, one protocol, two kinds of requests: the content type decides.
function besideGateway(grpc: GrpcServer, gateway: Gateway): RequestHandler {
  return {
    route(head) {
      const isGrpc = head.get("content-type")?.startsWith("application/grpc") === true;
      return (isGrpc ? undefined : gatewayRoute(gateway, head)) ?? grpc.route(head);
    },
  };
}

function throwOn(error: unknown): never {
  throw error;
}
