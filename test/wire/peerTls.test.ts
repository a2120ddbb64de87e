// Members in processes of their own with etcd's flags for peer TLS, and one that has no certificate.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { CertificateFolder, hasOpenssl, noOpensslReason } from "../support/certificates.ts";
import { Child } from "../support/child.ts";
import { KvClient } from "../support/kvClient.ts";
import { freePorts } from "../support/memberProcesses.ts";
import { serverEntry } from "../support/paths.ts";

const skip = hasOpenssl() ? false : noOpensslReason;
const ready = { pattern: /^ready ETCDCTL_ENDPOINTS=(\S+)$/, timeoutMs: 60_000 };

/** Runs one member for each list of flags. */
async function run(t: TestContext, rows: readonly (readonly string[])[]) {
  const folder = mkdtempSync(join(tmpdir(), "quorlet-peer-tls-"));
  const count = rows.length;
  const ports = await freePorts(3 * count);
  const peerUrl = (i: number): string => `https://127.0.0.1:${ports[i]}`;
  const cluster = rows.map((_, i) => `m${i}=${peerUrl(i)}`).join();
  const children = rows.map((flags, i) => {
    const client = `http://127.0.0.1:${ports[count + i]}`;
    const spare = `https://127.0.0.1:${ports[2 * count + i]}`;
    const args = [
      ...[serverEntry, "--name", `m${i}`, "--data-dir", join(folder, `m${i}`)],
      ...["--listen-client-urls", client, "--advertise-client-urls", client],
      ...["--listen-peer-urls", `${peerUrl(i)},${spare}`, "--log-level", "warn"],
      ...["--initial-advertise-peer-urls", peerUrl(i), "--initial-cluster", cluster],
    ];
    return new Child({ command: process.execPath, args: [...args, ...flags] });
  });
  t.after(async () => {
    await Promise.all(children.map((child) => child.kill9()));
    rmSync(folder, { recursive: true, force: true });
  });
  return children;
}

async function putAndGet(children: readonly Child[]): Promise<void> {
  const lines = await Promise.all(children.map((child) => child.line(ready)));
  const clients = lines.map((line) => new KvClient(line[1] ?? ""));
  await clients[0]?.put("key", "value");
  for (const client of clients) assert.equal((await client.get("key"))?.value, "value");
  for (const client of clients) client.close();
}

test("three processes with certificates, and with self-made ones", { skip }, async (t) => {
  using folder = new CertificateFolder();
  const own = [0, 1, 2].map((i) => {
    const { cert, key } = folder.issue(`m${i}`);
    return [
      ...["--peer-cert-file", cert, "--peer-key-file", key, "--peer-client-cert-auth"],
      ...["--peer-trusted-ca-file", folder.ca.cert],
    ];
  });
  await t.test("certificates of one issuer", async (t) => {
    await putAndGet(await run(t, own));
  });
  await t.test("self-made", async (t) => {
    await putAndGet(await run(t, [["--peer-auto-tls"], ["--peer-auto-tls"], ["--peer-auto-tls"]]));
  });
});

test("bad peer: a member with another issuer's certificate changes nothing", {
  skip,
}, async (t) => {
  using folder = new CertificateFolder();
  using foreign = new CertificateFolder();
  const flags = (from: CertificateFolder, name: string): readonly string[] => {
    const { cert, key } = from.issue(name);
    return [
      "--peer-cert-file",
      cert,
      "--peer-key-file",
      key,
      "--peer-trusted-ca-file",
      from.ca.cert,
    ];
  };
  const children = await run(t, [flags(folder, "a"), flags(folder, "b"), flags(foreign, "c")]);
  await putAndGet(children.slice(0, 2));
  assert.doesNotMatch(children[2]?.output ?? "", /^ready/m);
});

test("certificates that cannot be used are one line", async (t) => {
  const rows = [
    {
      flags: ["--peer-cert-file", "/none.crt", "--peer-key-file", "/none.key"],
      says: /^quorlet: the certificates for peers cannot be used: ENOENT.*none\.crt'$/m,
    },
    {
      flags: [],
      says: /^quorlet: cannot listen on TLS for .*: KeyFile and CertFile are not presented$/m,
    },
    {
      flags: ["--peer-key-file", "/none.key"],
      says: /^quorlet: KeyFile and CertFile must both be present\[key: \/none.key, cert: \]$/m,
    },
  ];
  for (const { flags, says } of rows) {
    const [child] = await run(t, [flags]);
    assert.ok(child);
    await child.ended({ timeoutMs: 60_000 });
    assert.match(child.output, says);
    assert.equal(child.output.trim().split("\n").length, 1, child.output);
  }
});
