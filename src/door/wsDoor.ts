// The WebSocket door of a member: batches of calls, as embedded clients send them (decision 0010).
//
//   accept(request: IncomingMessage, socket: Duplex, head: Buffer): void
//
// takes an upgrade of HTTP/1.1 for /v1/ws, when Host and path were judged. A page of another origin is
// refused unless its origin was named: browsers let any page open a WebSocket to any address.
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { beatMs } from "../transport/callBatch.ts";
import { type DoorPort, postedBytesMax } from "./doorPort.ts";
import { defaultSessionLimits, type SessionLimits } from "./session.ts";

export interface WsDoorLimits {
  /** A client that sends more in one frame is disconnected. */
  readonly frameBytesMax: number;
  /** Above this much unsent nothing more is read of a client. */
  readonly pauseBytes: number;
  /** A client that leaves more unsent is disconnected: the bound is this and one batch. */
  readonly backlogBytesMax: number;
  readonly connectionsMax: number;
  /** A client is pinged every beat, and dropped after so many of silence. */
  readonly beatMs: number;
  readonly silentBeatsMax: number;
  readonly session: SessionLimits;
}

export const defaultWsDoorLimits: WsDoorLimits = {
  frameBytesMax: 8 << 20,
  pauseBytes: 4 << 20,
  backlogBytesMax: 128 << 20,
  connectionsMax: 10_000,
  beatMs,
  silentBeatsMax: 3,
  session: {
    ...defaultSessionLimits,
    callsMax: 16_384,
    streamsMax: 256,
    creditBytesMax: 16 << 20,
    overdraftBytesMax: 16 << 20,
    answerBytesMax: 64 << 20,
  },
};

export interface WsDoorOptions {
  /** Takes a client. @returns how to let it hear from the member. */
  attach(port: DoorPort, limits: SessionLimits): { tellLeader(): void };
  /** Origins whose pages may come, besides that of the member itself; "*": all. */
  readonly origins?: readonly string[];
  readonly limits?: Partial<WsDoorLimits>;
}

/** RFC 6455, section 7.4.1. */
const goingAway = 1001;

interface Connection {
  readonly session: { tellLeader(): void };
  silentBeats: number;
}

export class WsDoor {
  readonly #options: WsDoorOptions;
  readonly #limits: WsDoorLimits;
  readonly #origins: ReadonlySet<string>;
  readonly #server: WebSocketServer;
  readonly #connections = new Map<WebSocket, Connection>();
  #heartbeat: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: WsDoorOptions) {
    this.#options = options;
    this.#limits = { ...defaultWsDoorLimits, ...options.limits };
    this.#origins = new Set(options.origins);
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: this.#limits.frameBytesMax,
    });
  }

  /** By path, for an HTTP server that looks at nothing else. */
  get upgrades(): ReadonlyMap<string, WsDoor["accept"]> {
    return new Map([["/v1/ws", (request, socket, head) => this.accept(request, socket, head)]]);
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** For the `upgrade` event of an HTTP server. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (!this.#isWelcome(request)) refuse(socket, "403 Forbidden");
    else if (this.#closed || this.#connections.size >= this.#limits.connectionsMax) {
      refuse(socket, "503 Service Unavailable");
    } else this.#server.handleUpgrade(request, socket, head, (opened) => this.#open(opened));
  }

  /** Takes nobody any more; each client gets what was written to it, and goodbye. */
  goAway(): void {
    this.#closed = true;
    for (const socket of this.#connections.keys()) socket.close(goingAway);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#heartbeat);
    for (const socket of [...this.#connections.keys()]) socket.terminate();
    this.#server.close();
  }

  #isWelcome({ headers }: IncomingMessage): boolean {
    const { origin, host } = headers;
    if (origin === undefined || this.#origins.has("*") || this.#origins.has(origin)) return true;
    return URL.canParse(origin) && new URL(origin).host === host;
  }

  #open(socket: WebSocket): void {
    const session = this.#options.attach(overSocket(socket, this.#limits), this.#limits.session);
    const connection = { session, silentBeats: 0 };
    this.#connections.set(socket, connection);
    const heard = (): void => {
      connection.silentBeats = 0;
    };
    socket.on("pong", heard);
    socket.on("message", heard);
    // It is closed as well, and that is all there is to do.
    socket.on("error", () => {});
    socket.on("close", () => this.#connections.delete(socket));
    this.#heartbeat ??= setInterval(() => this.#beat(), this.#limits.beatMs).unref();
  }

  #beat(): void {
    for (const [socket, connection] of this.#connections) {
      if (connection.silentBeats >= this.#limits.silentBeatsMax) socket.terminate();
      else {
        socket.ping();
        // A browser's program does not see a ping, and wants to know as well that we are there.
        connection.session.tellLeader();
      }
      connection.silentBeats++;
    }
  }
}

function overSocket(socket: WebSocket, limits: WsDoorLimits): DoorPort {
  let hasRoom = (): void => {};
  const onSent = (): void => {
    if (socket.bufferedAmount <= postedBytesMax) hasRoom();
    if (socket.isPaused && socket.bufferedAmount <= limits.pauseBytes / 2) socket.resume();
  };
  return {
    listen: (onBatch) =>
      void socket.on("message", (data: Buffer, isBinary: boolean) =>
        onBatch(isBinary ? data : undefined),
      ),
    onClose: (closed) => void socket.on("close", closed),
    onRoom: (listener) => {
      hasRoom = listener;
    },
    post: (batch) => {
      socket.send(batch, { binary: true, compress: false }, onSent);
      if (socket.bufferedAmount > limits.backlogBytesMax) socket.terminate();
      else if (socket.bufferedAmount > limits.pauseBytes) socket.pause();
    },
    get backlogBytes() {
      return socket.bufferedAmount;
    },
    close: () => socket.terminate(),
  };
}

function refuse(socket: Duplex, status: string): void {
  socket.on("error", () => socket.destroy());
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () =>
    socket.destroy(),
  );
}
