// The address on which peers reach a member: an HTTP server that knows nothing but the upgrade, and the
// list of members for those that are about to join.
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { PeerTls } from "./peerTls.ts";

export const membersPath = "/quorlet/members";
/** Connections at once, also those that have not said who they are. */
export const peerConnectionsMax = 256;
/** A connection that has not sent its TLS hello or its headers by then is closed. */
const helloMsMax = 5_000;

export interface PeerListenerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly tls?: PeerTls;
}

/** Who takes upgrade requests: a SocketLink. */
export interface PeerAcceptor {
  accept(request: IncomingMessage, stream: Duplex, head: Buffer): void;
  /** JSON about the members, for whoever wants to join; undefined while nothing is known. */
  members?(): string | undefined;
}

export interface PeerListener {
  readonly port: number;
  /** Stops listening. Close the link first: this waits for the connections that the link took. */
  close(): Promise<void>;
}

/** Rejects when the address is taken or not ours. */
export async function listenForPeers(
  link: PeerAcceptor,
  options: PeerListenerOptions,
): Promise<PeerListener> {
  const server = serverOf(options.tls, (request, response) => answer(link, request, response));
  server.maxConnections = peerConnectionsMax;
  server.on("upgrade", (request, stream, head) => link.accept(request, stream, head));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const { port } = server.address() as AddressInfo;
  return { port, close: () => closed(server) };
}

function answer(link: PeerAcceptor, request: IncomingMessage, response: ServerResponse): void {
  response.setHeader("connection", "close");
  const isQuestion = request.method === "GET" && request.url === membersPath;
  // A page in a browser has no business here.
  if (!isQuestion || request.headers.origin !== undefined) {
    response.writeHead(426).end();
    return;
  }
  const members = link.members?.();
  if (members === undefined) response.writeHead(503).end();
  else response.writeHead(200, { "content-type": "application/json" }).end(members);
}

function serverOf(tls: PeerListenerOptions["tls"], onRequest: RequestListener): Server {
  const timeouts = { headersTimeout: helloMsMax, requestTimeout: helloMsMax };
  if (tls === undefined) return createServer(timeouts, onRequest);
  const options = { ...timeouts, ...tls.serverOptions(), handshakeTimeout: helloMsMax };
  const server = createTlsServer(options, onRequest);
  tls.watch(server);
  return server;
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
