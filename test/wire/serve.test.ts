// `quorlet` in place of `etcd`: the command lines of a usual compose file, as three processes on three
// addresses of this host, with TLS for clients, driven by the stock etcdctl.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CertificateFolder, hasOpenssl, noOpensslReason } from "../support/certificates.ts";
import { Child } from "../support/child.ts";
import { etcdctl, findEtcdctls, noEtcdctlReason } from "../support/etcdctl.ts";
import { freePorts } from "../support/memberProcesses.ts";
import { serverEntry } from "../support/paths.ts";

const startTimeoutMs = 60_000;
const names = ["n1", "n2", "n3"];
const binary = findEtcdctls().at(0);

/** What a compose file says for one member, but for the name of the program. */
function composeArgs(name: string, ports: readonly number[], dataDir: string): readonly string[] {
  const host = (i: number): string => `127.0.0.${i + 2}`;
  const i = names.indexOf(name);
  const [client, peer] = [ports[0] ?? 0, ports[1] ?? 0];
  return [
    ...["--name", name, "--data-dir", dataDir],
    ...["--advertise-client-urls", `http://${host(i)}:${client}`],
    ...["--listen-client-urls", `http://${host(i)}:${client}`],
    ...["--initial-advertise-peer-urls", `http://${host(i)}:${peer}`],
    ...["--listen-peer-urls", `http://${host(i)}:${peer}`],
    ...["--initial-cluster-token", "compose", "--initial-cluster-state", "new"],
    "--initial-cluster",
    names.map((each, at) => `${each}=http://${host(at)}:${peer}`).join(","),
  ];
}

test("a compose file of etcd runs with another binary name", {
  skip: binary === undefined && noEtcdctlReason,
}, async () => {
  assert.ok(binary);
  const folder = mkdtempSync(join(tmpdir(), "quorlet-serve-"));
  const ports = await freePorts(2);
  const children = names.map((name, i) => {
    const args = composeArgs(name, ports, join(folder, name));
    // One dash does as well.
    const written = i === 2 ? args.map((arg) => arg.replace(/^--/, "-")) : args;
    return new Child({ command: process.execPath, args: [serverEntry, ...written] });
  });
  try {
    const ready = { pattern: /^ready /, timeoutMs: startTimeoutMs };
    await Promise.all(children.map((child) => child.line(ready)));
    const endpoints = [2, 3, 4].map((i) => `127.0.0.${i}:${ports[0]}`);
    const run = (args: readonly string[], at = endpoints) =>
      etcdctl({ binary, endpoints: at, args });
    assert.equal((await run(["put", "a", "b"], endpoints.slice(0, 1))).stdout, "OK\n");
    assert.equal((await run(["get", "a"], endpoints.slice(2))).stdout, "a\nb\n");
    const list = (await run(["member", "list"])).stdout;
    for (const [i, name] of names.entries()) {
      assert.match(list, new RegExp(`started, ${name}, http://127.0.0.${i + 2}:${ports[1]}`));
    }
    const health = await run(["endpoint", "health"]);
    assert.equal(health.code, 0, health.stdout + health.stderr);
  } finally {
    await Promise.all(children.map((child) => child.kill9()));
    rmSync(folder, { recursive: true, force: true });
  }
});

test("one member by variables alone, with TLS and client certificates", {
  skip: (binary === undefined && noEtcdctlReason) || (!hasOpenssl() && noOpensslReason),
}, async () => {
  assert.ok(binary);
  const folder = mkdtempSync(join(tmpdir(), "quorlet-serve-"));
  using files = new CertificateFolder();
  const [own, guest] = [files.issue("localhost"), files.issue("guest")];
  const [client = 0, peer = 0, plain = 0] = await freePorts(3);
  const child = new Child({
    command: process.execPath,
    args: [serverEntry],
    env: {
      ETCD_DATA_DIR: join(folder, "data"),
      ETCD_LISTEN_CLIENT_URLS: `https://127.0.0.1:${client},http://127.0.0.1:${plain}`,
      ETCD_ADVERTISE_CLIENT_URLS: `https://127.0.0.1:${client}`,
      ETCD_LISTEN_PEER_URLS: `http://127.0.0.1:${peer}`,
      ETCD_INITIAL_ADVERTISE_PEER_URLS: `http://127.0.0.1:${peer}`,
      ETCD_CERT_FILE: own.cert,
      ETCD_KEY_FILE: own.key,
      ETCD_TRUSTED_CA_FILE: files.ca.cert,
      ETCD_CLIENT_CERT_AUTH: "true",
    },
  });
  try {
    await child.line({ pattern: /^ready /, timeoutMs: startTimeoutMs });
    const secure = [`https://127.0.0.1:${client}`];
    const trust = ["--cacert", files.ca.cert, "--dial-timeout", "2s", "--command-timeout", "2s"];
    const shown = ["--cert", guest.cert, "--key", guest.key];
    const run = (args: readonly string[], endpoints: readonly string[]) =>
      etcdctl({ binary, endpoints, args });
    assert.equal((await run([...trust, ...shown, "put", "k", "v"], secure)).stdout, "OK\n");
    assert.notEqual((await run([...trust, "put", "k", "w"], secure)).code, 0, "no certificate");
    const open = await run(["get", "k"], [`127.0.0.1:${plain}`]);
    assert.equal(open.stdout, "k\nv\n", "the plain address beside it, as in etcd");
  } finally {
    await child.kill9();
    rmSync(folder, { recursive: true, force: true });
  }
});

test("a mistake is one line and etcd's exit code", async () => {
  const rows: readonly [args: readonly string[], line: RegExp, code: number][] = [
    [["--nmae", "x"], /^quorlet: flag provided but not defined: --nmae; did you mean --name\?$/, 2],
    [["serve", "--cert-file", "/nowhere"], /^quorlet: --cert-file and --key-file belong/, 1],
    [["serve", "--config-file", "/nowhere"], /^quorlet: \/nowhere: ENOENT/, 1],
  ];
  for (const [args, line, code] of rows) {
    const child = new Child({ command: process.execPath, args: [serverEntry, ...args] });
    assert.equal(await child.ended({ timeoutMs: startTimeoutMs }), `ended with ${code}`);
    assert.match(child.output, line);
    assert.equal(child.output.split("\n").length, 1, child.output);
  }
});

test("it tells its version as etcd does", async () => {
  const child = new Child({ command: process.execPath, args: [serverEntry, "--version"] });
  await child.line({ pattern: /^quorlet Version: \d+\.\d+\.\d+$/, timeoutMs: startTimeoutMs });
  await child.line({ pattern: /^etcd Version: 3\.5\.\d+$/, timeoutMs: startTimeoutMs });
  assert.equal(await child.ended({ timeoutMs: startTimeoutMs }), "ended with 0");
});
