// One member in a process of its own, by etcd's flags: the same port once with TLS and once without.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CertificateFolder } from "./certificates.ts";
import { Child } from "./child.ts";
import { freePorts } from "./memberProcesses.ts";
import { serverEntry } from "./paths.ts";

const startTimeoutMs = 60_000;

export interface Door {
  readonly name: string;
  /** host:port. */
  readonly endpoint: string;
  readonly port: number;
  /** Undefined: without TLS. */
  readonly caFile: string | undefined;
}

export class BothDoors implements AsyncDisposable {
  readonly doors: readonly Door[];
  readonly #child: Child;
  /** Goes with it. */
  readonly folder: string;
  readonly #files: CertificateFolder;

  private constructor(
    doors: readonly Door[],
    child: Child,
    folder: string,
    files: CertificateFolder,
  ) {
    this.doors = doors;
    this.#child = child;
    this.folder = folder;
    this.#files = files;
  }

  /** @param flags besides those for addresses and certificates. */
  static async start(flags: readonly string[] = []): Promise<BothDoors> {
    const folder = mkdtempSync(join(tmpdir(), "quorlet-doors-"));
    const files = new CertificateFolder();
    const own = files.issue("localhost");
    const [plain = 0, secure = 0, peer = 0] = await freePorts(3);
    const urls = [`http://127.0.0.1:${plain}`, `https://127.0.0.1:${secure}`].join();
    const peerUrl = `http://127.0.0.1:${peer}`;
    const child = new Child({
      command: process.execPath,
      args: [
        ...[serverEntry, "--name", "m1", "--data-dir", join(folder, "data")],
        ...["--listen-client-urls", urls, "--advertise-client-urls", urls],
        ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
        ...["--initial-cluster", `m1=${peerUrl}`, "--log-level", "warn"],
        ...["--cert-file", own.cert, "--key-file", own.key, ...flags],
      ],
    });
    const doors = [
      { name: "plain", endpoint: `127.0.0.1:${plain}`, port: plain, caFile: undefined },
      { name: "TLS", endpoint: `127.0.0.1:${secure}`, port: secure, caFile: files.ca.cert },
    ];
    const both = new BothDoors(doors, child, folder, files);
    try {
      await child.line({ pattern: /^ready /, timeoutMs: startTimeoutMs });
      return both;
    } catch (error) {
      await both[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.kill9();
    this.#files[Symbol.dispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
