// The channel of a client behind WebSockets: one to each URL, dialled again when it is lost.
import { EtcdError, StatusCode } from "../base/errors.ts";
import type { CallOptions, Channel, ClientStream, StreamOptions, StreamReader } from "./channel.ts";
import { LaneChannel, type LaneChannelLimits } from "./laneChannel.ts";
import { quietTimer } from "./platform.ts";
import { Backoff } from "./retry.ts";
import { type DialSocket, SocketPort } from "./socketPort.ts";

/** Where a member takes WebSockets. */
export const socketPath = "/v1/ws";

export interface ConnectOptions {
  /** Sent with every call: for example `{ token: "…" }`. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly limits?: Partial<LaneChannelLimits>;
}

interface Way {
  readonly url: string;
  readonly backoff: Backoff;
  port: SocketPort;
  redial: { stop(): void } | undefined;
}

export class SocketChannel implements Channel {
  readonly #dial: DialSocket;
  readonly #headers: readonly [string, string][];
  readonly #lanes: LaneChannel;
  readonly #ways = new Map<string, Way>();
  #why = "";

  /** @param urls of members: ws or wss, host and port; the path may be left out. @throws {TypeError} */
  constructor(urls: readonly string[], dial: DialSocket, options: ConnectOptions = {}) {
    this.#dial = dial;
    this.#headers = Object.entries(options.headers ?? {});
    this.#lanes = new LaneChannel({
      ...(options.limits && { limits: options.limits }),
      onLost: (key) => this.#onLost(key),
      whyNoLane: () => new EtcdError(StatusCode.unavailable, `no connection: ${this.#why}`),
    });
    for (const url of new Set(urls.map(socketUrl))) {
      const way = { url, backoff: new Backoff(), port: this.#connect(url), redial: undefined };
      this.#ways.set(url, way);
      this.#attach(way);
    }
  }

  get closed(): boolean {
    return this.#lanes.closed;
  }

  unary(path: string, message: Uint8Array, options?: CallOptions): Promise<Uint8Array> {
    return this.#lanes.unary(path, message, options);
  }

  stream(path: string, reader: StreamReader, options?: StreamOptions): ClientStream {
    return this.#lanes.stream(path, reader, options);
  }

  close(): void {
    this.#lanes.close();
    for (const { redial } of this.#ways.values()) redial?.stop();
  }

  #connect(url: string): SocketPort {
    return new SocketPort(url, this.#dial);
  }

  #attach(way: Way): void {
    this.#lanes.attach(way.url, way.port, { headers: this.#headers });
  }

  #onLost(url: string): void {
    const way = this.#ways.get(url);
    if (way === undefined || this.closed) return;
    this.#why = `${url}: ${way.port.why || "closed"}`;
    if (way.port.wasOpen) way.backoff.succeeded();
    way.redial = quietTimer(() => {
      way.port = this.#connect(url);
      this.#attach(way);
    }, way.backoff.failed());
  }
}

function socketUrl(text: string): string {
  const url = new URL(text.replace(/^http/, "ws"));
  if (url.protocol !== "ws:" && url.protocol !== "wss:") {
    throw new TypeError(`not the URL of a WebSocket: ${text}`);
  }
  if (url.pathname === "/") url.pathname = socketPath;
  return url.href;
}
