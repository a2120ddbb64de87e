// A TLS context made of files, and made again when they change.
import { statSync } from "node:fs";
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import type { Log } from "../base/ports.ts";

export interface TlsFilesOptions {
  /** What the context is made of; those that are undefined are none. */
  readonly files: readonly (string | undefined)[];
  /** Reads them. @throws the system's error for those that cannot be read. */
  readonly read: () => SecureContextOptions;
  readonly log: Log;
}

export class TlsFiles {
  readonly #options: TlsFilesOptions;
  #stamp: string;
  #settings: SecureContextOptions;
  #context: SecureContext;

  /** @throws the system's or OpenSSL's error for files that cannot be read or are no certificates. */
  constructor(options: TlsFilesOptions) {
    this.#options = options;
    this.#stamp = stampOf(options.files);
    this.#settings = options.read();
    this.#context = createSecureContext(this.#settings);
  }

  /** For servers, which make a context of their own. */
  get settings(): SecureContextOptions {
    return this.#settings;
  }

  get context(): SecureContext {
    return this.#context;
  }

  // A look at a few files is nothing beside a handshake. Those that cannot be used change nothing.
  /** @returns true when there are other settings than before. */
  refresh(): boolean {
    const { files, read, log } = this.#options;
    const stamp = stampOf(files);
    if (stamp === this.#stamp) return false;
    this.#stamp = stamp;
    try {
      const settings = read();
      this.#context = createSecureContext(settings);
      this.#settings = settings;
    } catch (error) {
      log.error("cannot read the certificates, the former ones stay", { why: `${error}` });
      return false;
    }
    log.info("read the certificates again");
    return true;
  }
}

// Changes with the files; the same when one is missing, until it is back.
function stampOf(files: TlsFilesOptions["files"]): string {
  return files.map((file) => (file === undefined ? "" : stampOfFile(file))).join();
}

function stampOfFile(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? "missing" : `${stat.ino} ${stat.mtimeMs} ${stat.size}`;
}
