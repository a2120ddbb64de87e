// The address on which peers reach a member: an HTTP server that knows nothing but the upgrade.
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";

/** Connections at once, also those that have not said who they are. */
export const peerConnectionsMax = 256;
/** A connection that has not sent its TLS hello or its headers by then is closed. */
const helloMsMax = 5_000;

export interface PeerListenerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** PEM texts; with `ca` peers must show a certificate signed by it. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string };
}

/** Who takes upgrade requests: a SocketLink. */
export interface PeerAcceptor {
  accept(request: IncomingMessage, stream: Duplex, head: Buffer): void;
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
  const server = serverOf(options.tls);
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

const onlyUpgrades: RequestListener = (_request, response) => {
  response.writeHead(426, { connection: "close" }).end();
};

function serverOf(tls: PeerListenerOptions["tls"]): Server {
  const timeouts = { headersTimeout: helloMsMax, requestTimeout: helloMsMax };
  if (tls === undefined) return createServer(timeouts, onlyUpgrades);
  const clients = tls.ca === undefined ? {} : { requestCert: true, rejectUnauthorized: true };
  return createTlsServer(
    { ...timeouts, ...tls, ...clients, handshakeTimeout: helloMsMax },
    onlyUpgrades,
  );
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
