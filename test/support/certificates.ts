// Certificates for tests, made by openssl in a folder of their own.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Reason to give when a test is skipped for want of openssl. */
export const noOpensslReason = "no openssl on the path";

export function hasOpenssl(): boolean {
  try {
    execFileSync("openssl", ["version"], { stdio: "pipe" });
    return true;
  } catch {
    return false;
  }
}

export interface Issued {
  readonly cert: string;
  readonly key: string;
}

/** One issuer and what it issues. */
export class CertificateFolder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "quorlet-tls-"));
  readonly ca: Issued;

  constructor() {
    this.ca = { cert: this.#file("ca.crt"), key: this.#file("ca.key") };
    this.#openssl([
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
      ...["-keyout", this.ca.key, "-out", this.ca.cert, "-days", "2", "-subj", "/CN=test issuer"],
    ]);
    writeFileSync(this.#file("index.txt"), "");
    writeFileSync(this.#file("number"), "01\n");
    writeFileSync(
      this.#file("ca.cnf"),
      [
        "[ca]\ndefault_ca=own\n[own]",
        `database=${this.#file("index.txt")}`,
        `crlnumber=${this.#file("number")}`,
        "default_md=sha256\ndefault_crl_days=2\n",
      ].join("\n"),
    );
  }

  /** A certificate for 127.0.0.1 and the name. */
  issue(name: string): Issued {
    const issued = { cert: this.#file(`${name}.crt`), key: this.#file(`${name}.key`) };
    const request = this.#file(`${name}.csr`);
    const extensions = this.#file(`${name}.ext`);
    writeFileSync(extensions, `subjectAltName=IP:127.0.0.1,DNS:${name}\n`);
    this.#openssl([
      ...["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
      ...["-keyout", issued.key, "-out", request, "-subj", `/CN=${name}`],
    ]);
    this.#openssl([
      ...["x509", "-req", "-in", request, "-CA", this.ca.cert, "-CAkey", this.ca.key],
      ...["-CAcreateserial", "-out", issued.cert, "-days", "2", "-extfile", extensions],
    ]);
    return issued;
  }

  /** @returns the path of a list with these certificates. */
  revoke(...revoked: readonly Issued[]): string {
    const list = this.#file("revoked.crl");
    const ca = ["ca", "-config", this.#file("ca.cnf"), "-cert", this.ca.cert];
    for (const { cert } of revoked) {
      this.#openssl([...ca, "-keyfile", this.ca.key, "-revoke", cert]);
    }
    this.#openssl([...ca, "-keyfile", this.ca.key, "-gencrl", "-out", list]);
    return list;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  #file(name: string): string {
    return join(this.path, name);
  }

  #openssl(args: readonly string[]): void {
    execFileSync("openssl", args, { stdio: "pipe" });
  }
}
