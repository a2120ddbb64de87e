// Keeps trying to open the connection to one peer: backoff with jitter, identity checked both ways.
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { WebSocket } from "ws";
import type { MemberId } from "../base/brand.ts";
import type { Log, Random } from "../base/ports.ts";
import {
  answerFault,
  handshakeHeaders,
  type PeerIdentity,
  type PeerLane,
  peerPath,
  refusalHeader,
  type StandingOf,
  type TurnedAway,
  turnedAway,
} from "./handshake.ts";
import type { PeerTls } from "./peerTls.ts";

export interface DialTarget {
  readonly self: PeerIdentity;
  readonly peer: MemberId;
  /** Each host:port behind ws, http, wss or https; at least one, tried in turn. */
  readonly addresses: readonly string[];
  readonly random: Random;
  readonly log: Log;
  readonly tls: PeerTls | undefined;
  readonly standingOf: StandingOf;
  /** The peer says that this member has no place in the cluster any more. */
  readonly onTurnedAway: (why: TurnedAway) => void;
}

export interface DialOptions {
  readonly lane: PeerLane;
  /** False: no further try is made until `dial` is called. */
  readonly isWanted: () => boolean;
  readonly onOpen: OnOpen;
}

export interface DialLimits {
  readonly frameBytesMax: number;
  readonly handshakeMsMax: number;
  readonly redialMsMin: number;
  readonly redialMsMax: number;
}

/** Gets a connection that opened, to be handed back to `onLost`, and what the peer said of itself. */
export type OnOpen = (socket: WebSocket, headers: IncomingHttpHeaders) => void;

export class PeerDialler {
  readonly #target: DialTarget;
  readonly #limits: DialLimits;
  readonly #options: DialOptions;
  #socket: WebSocket | undefined;
  #redialTimer: NodeJS.Timeout | undefined;
  #failures = 0;
  /** The address that is tried next, or was the last one to work. */
  #at = 0;
  /** Why each address failed the last time, since a connection opened. */
  readonly #reasons = new Map<string, string>();
  #closed = false;

  constructor(target: DialTarget, limits: DialLimits, options: DialOptions) {
    this.#target = target;
    this.#limits = limits;
    this.#options = options;
  }

  /** Does nothing while there is a connection or a try. */
  dial(): void {
    if (this.#closed || this.#socket !== undefined) return;
    clearTimeout(this.#redialTimer);
    const { self, peer, addresses, tls, standingOf, onTurnedAway } = this.#target;
    const address = addresses[this.#at % addresses.length] ?? "";
    const socket = new WebSocket(`${address.replace(/^http/, "ws")}${peerPath}`, {
      headers: handshakeHeaders(self, peer, this.#options.lane),
      // The next address shall not wait for one that swallows everything.
      handshakeTimeout: Math.ceil(this.#limits.handshakeMsMax / addresses.length),
      maxPayload: this.#limits.frameBytesMax,
      perMessageDeflate: false,
      generateMask: zeroMask,
      ...tls?.callOptions(),
    });
    this.#socket = socket;
    let reason: string | undefined;
    let headers: IncomingHttpHeaders = {};
    socket.on("upgrade", (response) => {
      headers = response.headers;
      reason = answerFault(headers, self, { peer, standingOf });
      if (reason !== undefined) socket.terminate();
    });
    socket.on("unexpected-response", (_request, response) => {
      reason = refusalOf(response);
      socket.terminate();
      const verdict = turnedAway(response, self);
      if (verdict !== undefined) onTurnedAway(verdict);
    });
    const onError = (error: Error): void =>
      this.#onFailure(socket, { address, why: reason ?? error.message });
    socket.on("error", onError);
    socket.on("open", () => {
      socket.off("error", onError);
      this.#failures = 0;
      this.#reasons.clear();
      this.#options.onOpen(socket, headers);
    });
  }

  /** An open connection is gone. */
  onLost(socket: WebSocket): void {
    if (socket !== this.#socket) return;
    this.#socket = undefined;
    this.#redialLater();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#redialTimer);
    this.#socket?.terminate();
  }

  #onFailure(socket: WebSocket, { address, why }: { address: string; why: string }): void {
    if (socket !== this.#socket) return;
    this.#socket = undefined;
    this.#at++;
    if (this.#closed) return;
    const { log, peer } = this.#target;
    const { lane } = this.#options;
    // A peer that is down for a day is one line for each address, not one for each try.
    const level = why === this.#reasons.get(address) ? "debug" : "warn";
    log[level]("could not connect to a peer", {
      peer,
      address,
      lane,
      why,
      failures: this.#failures,
    });
    this.#reasons.set(address, why);
    this.#redialLater();
  }

  #redialLater(): void {
    if (this.#closed) return;
    const { redialMsMin, redialMsMax } = this.#limits;
    const delayMs = Math.min(redialMsMax, redialMsMin * 2 ** Math.min(this.#failures, 30));
    this.#failures++;
    const half = Math.floor(delayMs / 2);
    const jitterMs = this.#target.random.integer(half + 1);
    this.#redialTimer = setTimeout(() => {
      if (this.#options.isWanted()) this.dial();
    }, delayMs - jitterMs);
  }
}

// Masks guard proxies against chosen plain text of browsers. Between members there is neither, and
// ws sends bytes under a zero mask as they are: 14 instead of 95 µs for 16 KiB.
function zeroMask(mask: Buffer): void {
  mask.fill(0);
}

function refusalOf(response: IncomingMessage): string {
  const why = response.headers[refusalHeader];
  return `refused with ${response.statusCode}: ${typeof why === "string" ? why : "no reason given"}`;
}
