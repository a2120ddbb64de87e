// Client TLS: etcd's flags as Node's settings, certificates read again when their files change.
import { readFileSync, statSync } from "node:fs";
import type { Socket } from "node:net";
import { createServer, type SecureContextOptions, type Server, type TLSSocket } from "node:tls";
import type { Log } from "../base/ports.ts";
import { opensslCiphers } from "./cipherSuites.ts";

export type TlsVersion = "TLSv1.2" | "TLSv1.3";

export interface TlsSettings {
  readonly certFile: string;
  readonly keyFile: string;
  /** Whoever issues clients' certificates; with it clients must show one. */
  readonly trustedCaFile?: string;
  /** Clients must show a certificate; without `trustedCaFile` one of the system's issuers. */
  readonly clientCertAuth?: boolean;
  /** Certificates that are no longer good. */
  readonly crlFile?: string;
  /** Go's names; empty: the defaults. */
  readonly cipherSuites?: readonly string[];
  readonly minVersion?: TlsVersion;
  readonly maxVersion?: TlsVersion;
}

/** A certificate and its key as they are, without files. */
export interface OwnCertificate {
  readonly cert: string;
  readonly key: string;
}

export interface TlsDoorOptions {
  readonly settings: TlsSettings | OwnCertificate;
  /** From the first byte on, or without any, until the handshake is done. */
  readonly handshakeMsMax: number;
  readonly onSecure: (socket: TLSSocket) => void;
  readonly log: Log;
}

/** What clients may ask for; who asks for nothing is told apart by the first bytes. */
const protocols = ["h2", "http/1.1"];

/** Turns accepted sockets into secure ones, or closes them. */
export class TlsDoor {
  readonly #options: TlsDoorOptions;
  readonly #server: Server;
  #stamp: string;

  /** @throws the system's error for files that cannot be read or are no certificates. */
  constructor(options: TlsDoorOptions) {
    const { settings, handshakeMsMax } = options;
    this.#options = options;
    this.#stamp = stampOf(settings);
    const asksClients =
      "certFile" in settings &&
      (settings.clientCertAuth === true || settings.trustedCaFile !== undefined);
    this.#server = createServer({
      ...contextOf(settings),
      ALPNProtocols: protocols,
      handshakeTimeout: handshakeMsMax,
      requestCert: asksClients,
      rejectUnauthorized: asksClients,
    });
    this.#server.on("secureConnection", options.onSecure);
    this.#server.on("tlsClientError", (error, socket) => {
      options.log.warn("rejected connection", {
        "remote-addr": `${socket.remoteAddress}`,
        error: error.message,
      });
      socket.destroy();
    });
  }

  /** Takes over the paused socket. */
  accept(socket: Socket): void {
    this.#rereadIfChanged();
    this.#server.emit("connection", socket);
  }

  // A look at a few files is nothing beside a handshake. Those that cannot be used change nothing.
  #rereadIfChanged(): void {
    const { settings, log } = this.#options;
    const stamp = stampOf(settings);
    if (stamp === this.#stamp) return;
    this.#stamp = stamp;
    try {
      this.#server.setSecureContext(contextOf(settings));
      log.info("read the certificates again");
    } catch (error) {
      log.error("cannot read the certificates, the former ones stay", { why: `${error}` });
    }
  }
}

function contextOf(settings: TlsSettings | OwnCertificate): SecureContextOptions {
  if (!("certFile" in settings)) return { ...settings, minVersion: "TLSv1.2" };
  const { certFile, keyFile, trustedCaFile, crlFile, cipherSuites = [] } = settings;
  return {
    cert: readFileSync(certFile),
    key: readFileSync(keyFile),
    ...(trustedCaFile !== undefined && { ca: readFileSync(trustedCaFile) }),
    ...(crlFile !== undefined && { crl: readFileSync(crlFile) }),
    ...(cipherSuites.length > 0 && {
      ciphers: opensslCiphers(cipherSuites),
      honorCipherOrder: true,
    }),
    minVersion: settings.minVersion ?? "TLSv1.2",
    ...(settings.maxVersion !== undefined && { maxVersion: settings.maxVersion }),
  };
}

// Changes with the files; the same when one is missing, until it is back.
function stampOf(settings: TlsSettings | OwnCertificate): string {
  if (!("certFile" in settings)) return "";
  const { certFile, keyFile, trustedCaFile, crlFile } = settings;
  const files = [certFile, keyFile, trustedCaFile, crlFile].filter((file) => file !== undefined);
  return files.map(stampOfFile).join();
}

function stampOfFile(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? "missing" : `${stat.ino} ${stat.mtimeMs} ${stat.size}`;
}
