// Peer TLS: etcd's --peer-… flags as Node's settings. One certificate serves whoever calls and is shown
// to whoever is called, unless there is another one for that.
import { readFileSync } from "node:fs";
import type { ServerOptions } from "node:https";
import {
  type ConnectionOptions,
  checkServerIdentity,
  type SecureContextOptions,
  type Server,
  type TLSSocket,
} from "node:tls";
import type { Log } from "../base/ports.ts";
import { SeldomLog } from "../base/seldomLog.ts";
import { steadyClock } from "./steadyClock.ts";
import { TlsFiles } from "./tlsFiles.ts";

/** Paths of PEM files, read again when they change. */
export interface PeerTlsSettings {
  /** Missing: nobody can call by TLS, but this member may. */
  readonly certFile?: string;
  readonly keyFile?: string;
  /** Shown to those that are called, in place of the pair above. */
  readonly clientCertFile?: string;
  readonly clientKeyFile?: string;
  /** Issuers of the peers' certificates; with it who calls must show one. Missing: those Node knows. */
  readonly trustedCaFile?: string;
  /** Who calls must show a certificate. */
  readonly clientCertAuth?: boolean;
  /** Certificates of callers that are no longer good. */
  readonly crlFile?: string;
  /** Callers' certificates must be for this common name, or else for this host. */
  readonly allowedCn?: string;
  readonly allowedHostname?: string;
}

/** A self-made certificate that nobody checks: what is said is hidden, not who says it. */
export interface PeerAutoTls {
  readonly auto: true;
  /** Missing: this member only calls. */
  readonly own?: { readonly cert: string; readonly key: string };
}

const minVersion = "TLSv1.2";

export class PeerTls {
  readonly #settings: PeerTlsSettings | PeerAutoTls;
  readonly #rejections: SeldomLog;
  /** For those that call. */
  readonly #server: TlsFiles;
  /** For calls. */
  readonly #client: TlsFiles;

  /** @throws the system's or OpenSSL's error for files that cannot be read or are no certificates. */
  constructor(settings: PeerTlsSettings | PeerAutoTls, log: Log) {
    this.#settings = settings;
    this.#rejections = new SeldomLog(log, steadyClock);
    this.#server = new TlsFiles(serverFiles(settings, log));
    this.#client = new TlsFiles(clientFiles(settings, log));
  }

  /** For a server of node:https or node:tls, which `watch` must be given before it listens. */
  serverOptions(): ServerOptions {
    // Refused by `watch`: Node would close the connection without a word of why.
    const refusal = { requestCert: asksCallers(this.#settings), rejectUnauthorized: false };
    return { ...this.#server.settings, ...refusal };
  }

  /** Keeps the server's certificates up to date, and lets in nobody without a good one. */
  watch(server: Server): void {
    // Before its own listener, which begins the handshake.
    server.prependListener("connection", () => {
      if (this.#server.refresh()) server.setSecureContext(this.#server.settings);
    });
    server.on("tlsClientError", (error, socket) => this.#reject(socket, error.message));
    // Before the listener that reads requests.
    server.prependListener("secureConnection", (socket: TLSSocket) => {
      const fault = strangerFault(this.#settings, socket);
      if (fault !== undefined) this.#reject(socket, fault);
    });
  }

  /** For one call: the certificates as they are now. */
  callOptions(): ConnectionOptions {
    this.#client.refresh();
    return {
      secureContext: this.#client.context,
      ...("auto" in this.#settings && { rejectUnauthorized: false }),
    };
  }

  #reject(socket: TLSSocket, error: string): void {
    const from = `${socket.remoteAddress}`;
    this.#rejections.warn(`${from} ${error}`, "rejected connection", {
      "remote-addr": from,
      error,
    });
    socket.destroy();
  }
}

function asksCallers(settings: PeerTlsSettings | PeerAutoTls): boolean {
  if ("auto" in settings) return false;
  const { clientCertAuth, trustedCaFile, allowedCn, allowedHostname } = settings;
  return clientCertAuth === true || [trustedCaFile, allowedCn, allowedHostname].some(isSaid);
}

const isSaid = (value: string | undefined): boolean => value !== undefined;

function serverFiles(settings: PeerTlsSettings | PeerAutoTls, log: Log) {
  if ("auto" in settings) return fixed(settings, log);
  const { certFile, keyFile, trustedCaFile, crlFile } = settings;
  const read = (): SecureContextOptions => ({
    ...pairOf(certFile, keyFile),
    ...(trustedCaFile !== undefined && { ca: readFileSync(trustedCaFile) }),
    ...(crlFile !== undefined && { crl: readFileSync(crlFile) }),
    minVersion,
  });
  return { files: [certFile, keyFile, trustedCaFile, crlFile], read, log };
}

function clientFiles(settings: PeerTlsSettings | PeerAutoTls, log: Log) {
  if ("auto" in settings) return fixed(settings, log);
  const { trustedCaFile } = settings;
  const { clientCertFile = settings.certFile, clientKeyFile = settings.keyFile } = settings;
  const read = (): SecureContextOptions => ({
    ...pairOf(clientCertFile, clientKeyFile),
    ...(trustedCaFile !== undefined && { ca: readFileSync(trustedCaFile) }),
    minVersion,
  });
  return { files: [clientCertFile, clientKeyFile, trustedCaFile], read, log };
}

function fixed({ own }: PeerAutoTls, log: Log) {
  return { files: [], read: () => ({ ...own, minVersion }) as const, log };
}

function pairOf(certFile: string | undefined, keyFile: string | undefined) {
  if (certFile === undefined || keyFile === undefined) return {};
  return { cert: readFileSync(certFile), key: readFileSync(keyFile) };
}

/** @returns why the caller's certificate is not one of a member. */
function strangerFault(
  settings: PeerTlsSettings | PeerAutoTls,
  socket: TLSSocket,
): string | undefined {
  if ("auto" in settings) return undefined;
  if (asksCallers(settings) && !socket.authorized) {
    return `client certificate is not good: ${socket.authorizationError}`;
  }
  const { allowedCn, allowedHostname } = settings;
  if (allowedCn === undefined && allowedHostname === undefined) return undefined;
  const certificate = socket.getPeerCertificate();
  const isAllowed =
    allowedCn === undefined
      ? checkServerIdentity(allowedHostname ?? "", certificate) === undefined
      : certificate.subject?.CN === allowedCn;
  return isAllowed ? undefined : "client certificate authentication failed";
}
