// HTTP/1.1 for the gateway, over sockets that the door has told apart: plain calls by our own reader, all
// else by Node's.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { errMessageTooLarge } from "../base/errors.ts";
import { ByteBudget } from "../http2/limits.ts";
import { sound } from "./answerHead.ts";
import type { Fields, HttpReply, HttpRequest } from "./exchange.ts";
import { QuickConnections } from "./quickConnections.ts";
import { badRequest, errBodyBacklog, refuse } from "./refusals.ts";
import type { Gateway } from "./server.ts";

export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

export interface Http1Options {
  readonly gateway: Gateway;
  /** By path; other upgrades are refused. */
  readonly upgrades: ReadonlyMap<string, UpgradeHandler>;
  /** Asks the owner to call `flush` once, at the end of the turn; by default setImmediate does. */
  readonly requestFlush?: () => void;
  /** Leaves all to Node's reader. */
  readonly isSlow?: boolean;
}

const upgradeRefusal =
  "HTTP/1.1 404 Not Found\r\nconnection: close\r\n" +
  "content-type: text/plain; charset=utf-8\r\ncontent-length: 19\r\n\r\n404 page not found\n";

export class Http1Server {
  readonly #gateway: Gateway;
  readonly #upgrades: ReadonlyMap<string, UpgradeHandler>;
  readonly #server: Server;
  readonly #held: ByteBudget;
  readonly #sockets = new Set<Duplex>();
  readonly #quick: QuickConnections;
  readonly #isSlow: boolean;
  /** Over these nothing is answered but numbers and health. */
  readonly #pagesOnly = new WeakSet<Duplex>();
  #onEmpty: (() => void) | undefined;

  constructor({ gateway, upgrades, requestFlush, isSlow = false }: Http1Options) {
    const { limits } = gateway;
    this.#isSlow = isSlow;
    this.#gateway = gateway;
    this.#upgrades = upgrades;
    this.#held = new ByteBudget(limits.heldBytesMax);
    this.#quick = new QuickConnections({
      gateway,
      held: this.#held,
      requestFlush: requestFlush ?? (() => setImmediate(() => this.flush())),
      onLeave: (socket, rest) => this.#giveToNode(socket, rest),
    });
    this.#server = createServer({
      headersTimeout: limits.headersMsMax,
      requestTimeout: limits.requestMsMax,
      keepAliveTimeout: limits.idleMsMax,
      connectionsCheckingInterval: limits.checkEveryMs,
      maxHeaderSize: limits.headerBytesMax,
      noDelay: true,
    });
    this.#server.on("request", (request, response) => this.#onRequest(request, response));
    this.#server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.#onUpgrade(request, socket, head),
    );
    this.#server.on("clientError", (_error, socket) => {
      if (socket.writable) socket.end(badRequest, () => socket.destroy());
      else socket.destroy();
    });
    // It never listens itself; this starts its look after deadlines.
    this.#server.emit("listening");
  }

  get connectionCount(): number {
    return this.#sockets.size;
  }

  /** Writes the answers of the turn. */
  flush(): void {
    this.#quick.flush();
  }

  /**
   * Serves HTTP/1 on the paused socket, whose bytes so far are `first`; closes one too many.
   *
   * @param options.pagesOnly nothing is answered but numbers and health.
   */
  accept(socket: Socket, first: Buffer, { pagesOnly = false } = {}): void {
    const { connectionsMax } = this.#gateway.limits;
    if (this.#onEmpty !== undefined || this.#sockets.size >= connectionsMax) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      if (this.#sockets.size === 0) this.#onEmpty?.();
    });
    if (pagesOnly) this.#pagesOnly.add(socket);
    if (this.#isSlow || pagesOnly) this.#giveToNode(socket, first);
    else this.#quick.accept(socket, first);
  }

  #giveToNode(socket: Socket, first: Buffer): void {
    if (first.length > 0) socket.unshift(first);
    this.#server.emit("connection", socket);
    socket.resume();
  }

  /** Lets requests under way finish, for `graceMs` at most; resolves when no connection is left. */
  async close(graceMs: number): Promise<void> {
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    // Answers that it never listened; what it does before is what is wanted.
    this.#server.close(() => {});
    this.#server.closeIdleConnections();
    this.#quick.close();
    if (this.#sockets.size === 0) return;
    const timer = setTimeout(() => {
      for (const socket of [...this.#sockets]) socket.destroy();
    }, graceMs);
    await empty;
    clearTimeout(timer);
  }

  #onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => socket.destroy());
    const asked = new Http1Request(request);
    const mayNot = this.#gateway.isStrange(asked) || this.#pagesOnly.has(socket);
    const handler = mayNot ? undefined : this.#upgrades.get(asked.path);
    if (handler === undefined) socket.end(upgradeRefusal, () => socket.destroy());
    else handler(request, socket, head);
  }

  #onRequest(incoming: IncomingMessage, response: ServerResponse): void {
    const request = new Http1Request(incoming);
    const reply = new Http1Reply(response, {
      common: this.#gateway.commonFields(request),
      backlogBytesMax: this.#gateway.limits.streamBacklogBytesMax,
    });
    const isHidden = this.#pagesOnly.has(incoming.socket) && !isAboutHealth(request.path);
    const wanted = isHidden ? this.#gateway.notFound(reply) : this.#gateway.handle(request, reply);
    if (wanted.kind === "none") incoming.resume();
    else if (wanted.kind === "whole") this.#collect(incoming, reply, wanted.onBody);
    else {
      incoming.on("data", (chunk: Buffer) => wanted.onPart(chunk, false));
      incoming.on("end", () => wanted.onPart(noBytes, true));
    }
  }

  #collect(incoming: IncomingMessage, reply: HttpReply, onBody: (body: Buffer) => void): void {
    const { bodyBytesMax, messageBytesMax } = this.#gateway.limits;
    let body: Buffer = noBytes;
    let parts: Buffer[] | undefined;
    let bytes = 0;
    const refuseBody = (error: Parameters<typeof refuse>[1]): void => {
      incoming.removeAllListeners("data").removeAllListeners("end");
      this.#held.give(bytes);
      bytes = 0;
      // What else is sent is read and dropped, as far as the deadline of the request allows.
      incoming.resume();
      refuse(reply, error);
    };
    incoming.on("data", (chunk: Buffer) => {
      if (bytes + chunk.length > bodyBytesMax) {
        const announced = Number(incoming.headers["content-length"] ?? 0);
        const size = Math.max(announced, bytes + chunk.length);
        refuseBody(errMessageTooLarge(size, messageBytesMax));
      } else if (!this.#held.take(chunk.length)) refuseBody(errBodyBacklog);
      else {
        if (bytes === 0) body = chunk;
        else if (parts === undefined) parts = [body, chunk];
        else parts.push(chunk);
        bytes += chunk.length;
      }
    });
    incoming.on("end", () => {
      this.#held.give(bytes);
      bytes = 0;
      onBody(parts === undefined ? body : Buffer.concat(parts));
    });
    // One that goes away before its end.
    incoming.on("close", () => {
      this.#held.give(bytes);
      bytes = 0;
    });
  }
}

function isAboutHealth(path: string): boolean {
  return /^\/(metrics$|health$|livez|readyz)/.test(path);
}

const noBytes = Buffer.alloc(0);
const noQuery = new URLSearchParams();

class Http1Request implements HttpRequest {
  readonly #incoming: IncomingMessage;
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;

  constructor(incoming: IncomingMessage) {
    const url = incoming.url ?? "/";
    const mark = url.indexOf("?");
    this.#incoming = incoming;
    this.method = incoming.method ?? "GET";
    this.path = mark < 0 ? url : url.slice(0, mark);
    this.query = mark < 0 ? noQuery : new URLSearchParams(url.slice(mark + 1));
  }

  get isSecure(): boolean {
    return "encrypted" in this.#incoming.socket;
  }

  header(name: string): string | undefined {
    const value = this.#incoming.headers[name];
    return typeof value === "string" ? value : value?.join(", ");
  }
}

class Http1Reply implements HttpReply {
  readonly #response: ServerResponse;
  readonly #common: Fields;
  readonly #backlogBytesMax: number;
  /** The last `write` answered false. */
  #isFull = false;

  constructor(
    response: ServerResponse,
    options: { readonly common: Fields; readonly backlogBytesMax: number },
  ) {
    this.#response = response;
    this.#common = options.common;
    this.#backlogBytesMax = options.backlogBytesMax;
  }

  get isOver(): boolean {
    return this.#response.writableEnded || this.#response.destroyed;
  }

  whole(status: number, fields: Fields, body: string): void {
    if (this.isOver) return;
    const length = Buffer.byteLength(body);
    const head: string[] = [];
    for (const [name, value] of this.#common) head.push(name, value);
    for (const [name, value] of fields) head.push(name, sound(value));
    head.push("Content-Length", `${length}`);
    this.#response.writeHead(status, head).end(body);
  }

  begin(status: number, fields: Fields): void {
    if (this.isOver) return;
    const head: string[] = [];
    for (const [name, value] of [...this.#common, ...fields]) head.push(name, sound(value));
    this.#response.writeHead(status, head).flushHeaders();
  }

  write(part: string): boolean {
    if (this.isOver) return false;
    this.#response.write(part);
    this.#isFull = this.backlogBytes > this.#backlogBytesMax;
    return !this.#isFull;
  }

  get backlogBytes(): number {
    return this.#response.writableLength;
  }

  end(): void {
    this.#response.end();
  }

  abort(): void {
    this.#response.destroy();
  }

  listen(events: { readonly onDrain: () => void; readonly onClose: () => void }): void {
    // It has a mark of its own, below ours, and speaks whenever that was passed.
    this.#response.on("drain", () => {
      if (!this.#isFull) return;
      this.#isFull = false;
      events.onDrain();
    });
    this.#response.on("close", () => {
      if (!this.#response.writableFinished) events.onClose();
    });
  }
}
