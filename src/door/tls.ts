// Client TLS: etcd's flags as Node's settings, certificates read again when their files change.
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { createServer, type SecureContextOptions, type Server, type TLSSocket } from "node:tls";
import type { Clock, Log, LogFields } from "../base/ports.ts";
import { SeldomLog } from "../base/seldomLog.ts";
import { TlsFiles } from "../transport/tlsFiles.ts";
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
  readonly clock: Clock;
}

/** What clients may ask for; who asks for nothing is told apart by the first bytes. */
const protocols = ["h2", "http/1.1"];

/** Turns accepted sockets into secure ones, or closes them. */
export class TlsDoor {
  readonly #server: Server;
  readonly #files: TlsFiles;
  readonly #rejections: SeldomLog;

  /** @throws the system's error for files that cannot be read or are no certificates. */
  constructor(options: TlsDoorOptions) {
    const { settings, handshakeMsMax, log } = options;
    this.#rejections = new SeldomLog(log, options.clock);
    this.#files = new TlsFiles({ files: filesOf(settings), read: () => contextOf(settings), log });
    const asksClients =
      "certFile" in settings &&
      (settings.clientCertAuth === true || settings.trustedCaFile !== undefined);
    this.#server = createServer({
      ...this.#files.settings,
      ALPNProtocols: protocols,
      handshakeTimeout: handshakeMsMax,
      requestCert: asksClients,
      // Refused below: Node would close the connection without a word of why.
      rejectUnauthorized: false,
    });
    this.#server.on("secureConnection", (socket) => {
      if (!asksClients || socket.authorized) options.onSecure(socket);
      else this.#reject(socket, `client certificate is not good: ${socket.authorizationError}`);
    });
    this.#server.on("tlsClientError", (error, socket) => this.#reject(socket, error.message));
  }

  // Anybody can cause it, at any rate.
  #reject(socket: TLSSocket, error: string): void {
    const from = `${socket.remoteAddress}`;
    this.#rejections.warn(`${from} ${error}`, "rejected connection", {
      ...{ "remote-addr": from, "server-name": `${socket.servername || ""}`, error },
      ...certificateFacts(socket),
    });
    socket.destroy();
  }

  /** Takes over the paused socket. */
  accept(socket: Socket): void {
    if (this.#files.refresh()) this.#server.setSecureContext(this.#files.settings);
    this.#server.emit("connection", socket);
  }
}

/** Of the certificate that was shown, if any. */
function certificateFacts(socket: TLSSocket): LogFields {
  const { subject, issuer, serialNumber } = socket.getPeerCertificate() ?? {};
  if (serialNumber === undefined) return {};
  return { subject: `${subject?.CN}`, issuer: `${issuer?.CN}`, serial: serialNumber };
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

function filesOf(settings: TlsSettings | OwnCertificate): readonly (string | undefined)[] {
  if (!("certFile" in settings)) return [];
  const { certFile, keyFile, trustedCaFile, crlFile } = settings;
  return [certFile, keyFile, trustedCaFile, crlFile];
}
