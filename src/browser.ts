// biome-ignore-all lint/performance/noBarrelFile: what the package offers to browsers stands here.
// The face of the package in a browser: the client over WebSockets, and no module of Node.
import { dialWith, type WebSocketClass } from "./client/browserSocket.ts";
import { Client } from "./client/client.ts";
import { type ConnectOptions, SocketChannel } from "./client/socketChannel.ts";

export { EtcdError, StatusCode } from "./base/errors.ts";
export { Client } from "./client/client.ts";
export { Pair } from "./client/results.ts";
export { compare, op } from "./client/txn.ts";
export { CompactedError } from "./client/watchEvent.ts";

/** A client of the members at these URLs: ws or wss, host and port. It connects by itself, again and again. */
export function connect(urls: string | readonly string[], options: ConnectOptions = {}): Client {
  const { WebSocket } = globalThis as unknown as { readonly WebSocket: WebSocketClass };
  return new Client(new SocketChannel([urls].flat(), dialWith(WebSocket), options));
}
