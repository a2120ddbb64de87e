// PeerLink over WebSockets: for each pair of members one connection for what raft says and one for bulk,
// which may be full of megabytes that a heartbeat must not wait behind. The lower id opens both.
import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import type { MemberId } from "../base/brand.ts";
import { copyBytes } from "../base/bytes.ts";
import type { Log, Random } from "../base/ports.ts";
import { SeldomLog } from "../base/seldomLog.ts";
import { defaultFrameLimits } from "./frame.ts";
import {
  answerLines,
  dials,
  judgeHandshake,
  knockAnswer,
  type PeerIdentity,
  type PeerLane,
  refusalHeader,
  type StandingOf,
  senderIn,
  type TurnedAway,
  versionWith,
} from "./handshake.ts";
import { Knocker } from "./knocker.ts";
import type { LinkCounters, PeerLink } from "./link.ts";
import { PeerDialler } from "./peerDialler.ts";
import type { PeerTls } from "./peerTls.ts";
import { RefusalLog } from "./refusalLog.ts";
import { steadyClock } from "./steadyClock.ts";

export interface SocketLinkLimits {
  /** No frame is sent while more than this is unsent: the bound is this and one frame. */
  readonly backlogBytesMax: number;
  /** The same for the connection of bulk frames: memory, as nothing else waits behind them. */
  readonly bulkBacklogBytesMax: number;
  /** A peer that sends more in one frame is disconnected. */
  readonly frameBytesMax: number;
  readonly handshakeMsMax: number;
  /** Pause before dialling again: doubles from the first to the second, halved at random. */
  readonly redialMsMin: number;
  readonly redialMsMax: number;
  /** Every peer is pinged this often, and dropped after so many beats of silence. */
  readonly heartbeatMs: number;
  readonly silentBeatsMax: number;
}

export const defaultSocketLinkLimits: SocketLinkLimits = {
  backlogBytesMax: 16 * 1_048_576,
  bulkBacklogBytesMax: 2 * 1_048_576,
  frameBytesMax: defaultFrameLimits.frameBytesMax,
  handshakeMsMax: 5_000,
  redialMsMin: 50,
  redialMsMax: 5_000,
  heartbeatMs: 1_000,
  silentBeatsMax: 3,
};

export interface SocketLinkOptions {
  readonly self: PeerIdentity;
  readonly random: Random;
  readonly log: Log;
  readonly limits?: Partial<SocketLinkLimits>;
  /** For peers with https addresses. */
  readonly tls?: PeerTls;
  /** What is known about whoever introduces itself. Missing: those that were set are members. */
  readonly standingOf?: StandingOf;
  /** A peer says that this member has no place in the cluster any more. */
  readonly onTurnedAway?: (why: TurnedAway, peer: MemberId) => void;
}

/** What is known of one peer. */
interface Peer {
  readonly id: MemberId;
  readonly main: Lane;
  readonly bulk: Lane;
  /** Only for those that dial this member. */
  readonly knocker: Knocker | undefined;
  /** Of the protocol, as it was agreed when the main connection opened; 0 before. */
  version: number;
}

interface Lane {
  readonly name: PeerLane;
  /** Only for those that this member dials. */
  readonly dialler: PeerDialler | undefined;
  socket: WebSocket | undefined;
  silentBeats: number;
}

/** A connection that opened. */
interface Opened {
  readonly peer: Peer;
  readonly lane: Lane;
  /** Undefined cannot be: the handshake refused it. */
  readonly version: number | undefined;
}

export class SocketLink implements PeerLink {
  onFrame: ((from: MemberId, frame: Uint8Array) => void) | undefined;
  readonly #options: SocketLinkOptions;
  readonly #limits: SocketLinkLimits;
  readonly #peers = new Map<MemberId, Peer>();
  readonly #server: WebSocketServer;
  readonly #heartbeat: NodeJS.Timeout;
  #closed = false;
  readonly #standingOf: StandingOf;
  readonly #refusals: RefusalLog;
  readonly #errors: SeldomLog;
  #droppedFrames = 0;
  #badFrames = 0;
  #refusedHandshakes = 0;

  constructor(options: SocketLinkOptions) {
    this.#options = options;
    this.#refusals = new RefusalLog(options.log);
    this.#errors = new SeldomLog(options.log, steadyClock);
    this.#standingOf =
      options.standingOf ?? ((id) => (this.#peers.has(id) ? "member" : "stranger"));
    this.#limits = { ...defaultSocketLinkLimits, ...options.limits };
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: this.#limits.frameBytesMax,
    });
    this.#server.on("headers", (lines, request) => {
      lines.push(...answerLines(options.self, request.headers));
    });
    this.#heartbeat = setInterval(() => this.#beat(), this.#limits.heartbeatMs);
  }

  get counters(): LinkCounters & { readonly refusedHandshakes: number } {
    return {
      droppedFrames: this.#droppedFrames,
      badFrames: this.#badFrames,
      refusedHandshakes: this.#refusedHandshakes,
    };
  }

  /**
   * Makes a member known, or moves it to other addresses.
   *
   * @param addresses at least one host:port behind ws, http, wss or https; they are dialled in turn.
   */
  setPeer(id: MemberId, ...addresses: readonly string[]): void {
    this.removePeer(id);
    const { self, random, log, tls, onTurnedAway } = this.#options;
    const target = {
      ...{ self, peer: id, addresses, random, log, tls, standingOf: this.#standingOf },
      onTurnedAway: (why: TurnedAway) => onTurnedAway?.(why, id),
    };
    const isDialler = dials(self.id, id);
    const lane = (name: PeerLane): Lane => ({
      ...{ name, socket: undefined, silentBeats: 0 },
      dialler: isDialler
        ? new PeerDialler(target, this.#limits, {
            lane: name,
            isWanted: () => name === "main" || peer.main.socket !== undefined,
            onOpen: (socket, headers) =>
              this.#adopt({ peer, lane: peer[name], version: versionWith(headers, self) }, socket),
          })
        : undefined,
    });
    const peer: Peer = {
      ...{ id, main: lane("main"), bulk: lane("bulk"), version: 0 },
      knocker: isDialler ? undefined : new Knocker(target, () => peer.main.socket !== undefined),
    };
    this.#peers.set(id, peer);
    peer.main.dialler?.dial();
  }

  /** Disconnects a member and refuses it from now on. */
  removePeer(id: MemberId): void {
    const peer = this.#peers.get(id);
    this.#peers.delete(id);
    if (peer === undefined) return;
    peer.knocker?.close();
    for (const lane of [peer.main, peer.bulk]) {
      const { socket } = lane;
      lane.socket = undefined;
      lane.dialler?.close();
      // What was sent shall arrive: it may tell the peer why it is left.
      if (this.#closed) socket?.terminate();
      else socket?.close();
    }
  }

  /** Takes an upgrade request of an HTTP server: for its `upgrade` event. */
  accept(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    const { self } = this.#options;
    const verdict = judgeHandshake(request, self, this.#standingOf);
    const peer = verdict.kind === "accepted" ? this.#peers.get(verdict.from) : undefined;
    if (verdict.kind === "refused") {
      this.#refusedHandshakes++;
      const who = senderIn(request.headers) || `${request.socket.remoteAddress}`;
      this.#refusals.note({ who, why: verdict.why }, verdict.why === knockAnswer);
      refuse(stream, verdict, answerLines(self, request.headers));
    } else if (peer === undefined || this.#closed) {
      stream.destroy();
    } else {
      const { version } = verdict;
      this.#refusals.forget(senderIn(request.headers));
      this.#server.handleUpgrade(request, stream, head, (socket) =>
        this.#adopt({ peer, lane: peer[verdict.lane], version }, socket),
      );
    }
  }

  send(to: MemberId, frame: Uint8Array): void {
    const socket = this.#peers.get(to)?.main.socket;
    if (socket === undefined || socket.bufferedAmount > this.#limits.backlogBytesMax) {
      this.#droppedFrames++;
    } else socket.send(frame, sendOptions);
  }

  sendBulk(to: MemberId, frame: Uint8Array): boolean {
    const socket = this.#peers.get(to)?.bulk.socket;
    if (socket === undefined) return false;
    if (socket.bufferedAmount > this.#limits.bulkBacklogBytesMax) return false;
    socket.send(frame, sendOptions);
    return true;
  }

  connected(peer: MemberId): boolean {
    return this.#peers.get(peer)?.main.socket !== undefined;
  }

  /** Version of the protocol that is spoken with this peer; 0: none yet. */
  versionWith(peer: MemberId): number {
    return this.#peers.get(peer)?.version ?? 0;
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#heartbeat);
    for (const id of [...this.#peers.keys()]) this.removePeer(id);
    this.#server.close();
  }

  /** Uses an open connection; an older one to the same peer is half-open or forgotten by it. */
  #adopt({ peer, lane, version = 0 }: Opened, socket: WebSocket): void {
    if (this.#peers.get(peer.id) !== peer) {
      socket.terminate();
      return;
    }
    const older = lane.socket;
    lane.socket = socket;
    lane.silentBeats = 0;
    older?.terminate();
    if (lane.name === "main") {
      peer.version = version;
      peer.bulk.dialler?.dial();
    }
    const heard = (): void => {
      lane.silentBeats = 0;
    };
    socket.on("ping", heard);
    socket.on("pong", heard);
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      heard();
      if (lane.socket === socket) this.#onMessage(peer, { socket, data, isBinary });
    });
    socket.on("error", (error: Error) => this.#onError(peer, error));
    socket.on("close", () => {
      if (lane.socket === socket) lane.socket = undefined;
      lane.dialler?.onLost(socket);
    });
  }

  #onMessage(
    peer: Peer,
    { socket, data, isBinary }: { socket: WebSocket; data: Buffer; isBinary: boolean },
  ): void {
    if (isBinary) this.onFrame?.(peer.id, ownedBytes(data));
    else {
      this.#badFrames++;
      socket.terminate();
    }
  }

  #onError(peer: Peer, error: Error): void {
    this.#badFrames++;
    const { message: why } = error;
    this.#errors.warn(`${peer.id} ${why}`, "peer connection failed", { peer: peer.id, why });
  }

  #beat(): void {
    for (const { main, bulk } of this.#peers.values()) {
      for (const lane of [main, bulk]) {
        if (lane.silentBeats >= this.#limits.silentBeatsMax) lane.socket?.terminate();
        else lane.socket?.ping();
        lane.silentBeats++;
      }
    }
  }
}

const sendOptions = { binary: true, compress: false } as const;

// A small frame arrives as a view into a chunk of the socket: kept, it would pin the whole chunk.
function ownedBytes(data: Buffer): Uint8Array {
  return data.length * 2 < data.buffer.byteLength ? copyBytes(data) : data;
}

/** Answers an upgrade request with no, and the reason. */
export function refuse(
  stream: Duplex,
  { status, why }: { readonly status: number; readonly why: string },
  lines: readonly string[] = [],
): void {
  stream.on("error", () => stream.destroy());
  stream.once("finish", () => stream.destroy());
  stream.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n` +
      `${[`${refusalHeader}: ${why}`, ...lines].join("\r\n")}\r\n\r\n`,
  );
}
