// A member that is to be dialled by a peer and is not: it knocks there now and then. It is refused, as it
// is not the one who dials, but that tells the peer where to find it; and should it have no place in the
// cluster any more, it learns so here.
import { type IncomingMessage, request as plainRequest } from "node:http";
import { request as tlsRequest } from "node:https";
import { handshakeHeaders, knockAnswer, peerPath, refusalHeader, turnedAway } from "./handshake.ts";
import type { DialTarget } from "./peerDialler.ts";

/** Between two knocks; above the longest pause of whoever dials. */
export const knockMs = 5_000;

export class Knocker {
  readonly #target: DialTarget;
  readonly #isConnected: () => boolean;
  readonly #timer: NodeJS.Timeout;
  #knocks = 0;
  /** What was answered the last time. */
  #answer: string | undefined = knockAnswer;

  constructor(target: DialTarget, isConnected: () => boolean, intervalMs = knockMs) {
    this.#target = target;
    this.#isConnected = isConnected;
    this.#timer = setInterval(() => this.#knock(), intervalMs);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #knock(): void {
    if (this.#isConnected()) return;
    const { self, peer, addresses, tls } = this.#target;
    const address = addresses[this.#knocks++ % addresses.length] ?? "";
    const url = `${address.replace(/^ws/, "http")}${peerPath}`;
    const ask = url.startsWith("https:") ? tlsRequest : plainRequest;
    const headers = {
      ...handshakeHeaders(self, peer),
      ...{ connection: "Upgrade", upgrade: "websocket" },
    };
    const request = ask(url, { headers, timeout: knockMs, ...tls?.callOptions() });
    request.on("response", (response) => this.#onRefused(response));
    // Whoever accepts this has mistaken it for a dial.
    request.on("upgrade", (_response, socket) => socket.destroy());
    request.on("timeout", () => request.destroy());
    // One that cannot be reached is what knocking is about.
    request.on("error", () => undefined);
    request.end();
  }

  #onRefused(response: IncomingMessage): void {
    response.resume();
    this.#note(response);
    const verdict = turnedAway(response, this.#target.self);
    if (verdict !== undefined) this.#target.onTurnedAway(verdict);
  }
  /** Whoever waits in vain to be called says why, once. */
  #note({ headers, statusCode }: IncomingMessage): void {
    const why = headers[refusalHeader];
    const answer = typeof why === "string" ? why : undefined;
    if (answer !== this.#answer && answer !== undefined && answer !== knockAnswer) {
      const { log, peer } = this.#target;
      log.warn("a peer does not know this member", { peer, why: `${statusCode}: ${answer}` });
    }
    this.#answer = answer;
  }
}
