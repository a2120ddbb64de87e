// Clients of other makers, all through the one port of a member, with TLS and without.
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { Client, credentials } from "@grpc/grpc-js";
import { BothDoors, type Door } from "../support/bothDoors.ts";
import { hasOpenssl, noOpensslReason } from "../support/certificates.ts";
import { decodeMessage, encodeMessage } from "../support/messages.ts";
import { projectRoot } from "../support/paths.ts";

const run = promisify(execFile);
const commandMsMax = 120_000;
/** Within the time of a file (run.ts); .ci/run builds before. */
const buildMsMax = 270_000;
const python = "/usr/bin/python3";
const builtGoClient = process.env.QUORLET_GO_TEST_CLIENT;
const goPath = "/usr/share/gocode";

const noTls = hasOpenssl() ? false : noOpensslReason;
const noCurl = works("curl", ["--version"]) ? false : "no curl on the path";
const noGateway = hasModule("etcd3gw");
const noGrpcio = hasModule("etcd3");
const mayBuild = existsSync(`${goPath}/src/go.etcd.io/etcd/clientv3`) && works("go", ["version"]);
const noGo =
  builtGoClient === undefined &&
  !mayBuild &&
  "no go with etcd's client (Debian: golang-go, golang-etcd-server-dev), nor $QUORLET_GO_TEST_CLIENT";

const kept: { both?: BothDoors } = {};
before(async () => {
  if (noTls === false) kept.both = await BothDoors.start();
});
after(() => kept.both?.[Symbol.asyncDispose]());

function both(): BothDoors {
  assert.ok(kept.both);
  return kept.both;
}

function works(command: string, args: readonly string[]): boolean {
  try {
    execFileSync(command, args, { stdio: "pipe" });
    return true;
  } catch {
    return false;
  }
}

function hasModule(name: string): string | false {
  const isThere = works(python, ["-c", `import ${name}`]);
  return isThere ? false : `no python3 with the module ${name} (Debian: python3-${name})`;
}

/** Runs `check` for the plain address and for that with TLS. */
async function onBoth(check: (door: Door) => Promise<void>): Promise<void> {
  assert.equal(both().doors.length, 2);
  for (const door of both().doors) await check(door);
}

async function lines(command: string, args: readonly string[]): Promise<readonly string[]> {
  // They would take precedence over what a script says.
  const { REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE, ...env } = process.env;
  const { stdout } = await run(command, args, { timeout: commandMsMax, env });
  return stdout.trimEnd().split("\n");
}

test("curl speaks JSON over HTTP/1.1 and HTTP/2", { skip: noTls || noCurl }, async () => {
  await onBoth(async ({ name, endpoint, caFile }) => {
    const url = `http${caFile === undefined ? "" : "s"}://${endpoint}`;
    const trust = caFile === undefined ? [] : ["--cacert", caFile];
    const versions: Readonly<Record<string, string>> = {
      "--http1.1": "1.1",
      // Over TLS both agree on it by ALPN, without TLS curl has to know.
      [caFile === undefined ? "--http2-prior-knowledge" : "--http2"]: "2",
    };
    for (const [flag, version] of Object.entries(versions)) {
      const curl = (path: string, ...args: readonly string[]) =>
        lines("curl", [
          "-sS",
          flag,
          ...trust,
          "-w",
          "\n%{http_code} %{http_version}\n",
          url + path,
          ...args,
        ]);
      const key = Buffer.from(`curl ${name} ${version}`).toString("base64");
      const [put, status] = await curl("/v3/kv/put", "-d", `{"key":"${key}","value":"${key}"}`);
      assert.match(put ?? "", /^{"header":{.*"revision":"\d+"/);
      assert.equal(status, `200 ${version}`, `${name} ${flag}`);
      const [got = ""] = await curl("/v3/kv/range", "-d", `{"key": "${key}"}`);
      assert.equal(JSON.parse(got).kvs[0].value, key);
      // Above a megabyte curl asks before it sends.
      const large = join(both().folder, "large.json");
      writeFileSync(large, `{"key":"${key}","value":"${"A".repeat(1_200_000)}"}`);
      assert.match((await curl("/v3/kv/put", "-d", `@${large}`)).join(" "), /"revision".* 200 /);
      assert.match((await curl("/version")).join(" "), /^{"etcdserver":"3\.5\.\d+".*} 200 /);
      assert.match((await curl("/health")).join(" "), /^{"health":"true".*} 200 /);
    }
  });
});

test("python3-etcd3gw: keys, leases, locks and watches", { skip: noTls || noGateway }, async () => {
  await onBoth(async ({ port, caFile }) => {
    const secure =
      caFile === undefined ? "" : `, protocol="https", ca_cert=${JSON.stringify(caFile)}`;
    const script = `
import etcd3gw, threading
client = etcd3gw.Etcd3Client(host="127.0.0.1", port=${port}, api_path="/v3/", timeout=30${secure})
print(client.put("gw/a", "1"), client.get("gw/a")[0].decode())
print(client.replace("gw/a", "1", "2"), client.replace("gw/a", "1", "3"), client.create("gw/a", "4"))
print([value.decode() + " " + meta["key"].decode() for value, meta in client.get_prefix("gw/")])
lease = client.lease(30)
client.put("gw/leased", "x", lease=lease)
print(0 < lease.refresh() <= 30, 0 < lease.ttl() <= 30, lease.keys())
lease.revoke()
print(client.get("gw/leased"))
lock = client.lock("gw-door", ttl=30)
print(lock.acquire(), lock.is_acquired(), lock.release())
born = int(client.get("gw/a", metadata=True)[0][1]["create_revision"])
events, cancel = client.watch("gw/a", start_revision=born)
print([next(events)["kv"]["value"].decode() for _ in range(2)])
cancel()
print(client.delete("gw/a"), client.delete("gw/a"), "leader" in client.status(), len(client.members()))
try: client.put("", "x")
except etcd3gw.exceptions.Etcd3Exception as e: print(type(e).__name__, e.detail_text)
`;
    const printed = await lines(python, ["-c", script]);
    assert.deepEqual(printed.slice(0, -1), [
      ...["True 1", "True False False", "['2 gw/a']", "True True [b'gw/leased']", "[]"],
      ...["True True True", "['1', '2']", "True False True 1"],
    ]);
    assert.match(printed.at(-1) ?? "", /^Etcd3Exception .*etcdserver: key is not provided/);
  });
});

test("Python's grpcio: keys, watches and leases", { skip: noTls || noGrpcio }, async () => {
  await onBoth(async ({ port, caFile }) => {
    const secure = caFile === undefined ? "" : `, ca_cert=${JSON.stringify(caFile)}`;
    const printed = await lines(python, [
      "-c",
      `
import etcd3
client = etcd3.client(host="127.0.0.1", port=${port}, timeout=30${secure})
client.put("io/a", "1")
events, cancel = client.watch_prefix("io/", start_revision=client.get("io/a")[1].mod_revision)
print(client.get("io/a")[0].decode(), next(events).value.decode()); cancel()
lease = client.lease(30)
print([r.TTL for r in lease.refresh()], client.delete("io/a")); lease.revoke()
`,
    ]);
    assert.deepEqual(printed, ["1 1", "[30] True"]);
  });
});

test("grpc-js: a call, and a refusal", { skip: noTls }, async () => {
  await onBoth(async ({ name, endpoint, caFile }) => {
    const trust = caFile && credentials.createSsl(readFileSync(caFile));
    const client = new Client(endpoint, trust || credentials.createInsecure());
    const call = (method: string, message: Uint8Array): Promise<Buffer> =>
      new Promise((resolve, reject) => {
        const same = (bytes: Buffer): Buffer => bytes;
        const deadline = Date.now() + commandMsMax;
        const path = `/etcdserverpb.KV/${method}`;
        client.makeUnaryRequest(
          path,
          same,
          same,
          Buffer.from(message),
          { deadline },
          (error, answer) => (error ? reject(error) : resolve(answer ?? Buffer.alloc(0))),
        );
      });
    const key = Buffer.from(`js ${name}`);
    await call("Put", encodeMessage("PutRequest", { key, value: key }));
    const answer = await call("Range", encodeMessage("RangeRequest", { key }));
    assert.equal(decodeMessage("RangeResponse", answer).count, "1");
    await assert.rejects(
      call("Put", new Uint8Array(0)),
      /3 INVALID_ARGUMENT: etcdserver: key is not/,
    );
    client.close();
  });
});

/** The first time takes most of a minute of CPU; Go keeps the parts. */
async function goClient(): Promise<string> {
  if (builtGoClient !== undefined) return builtGoClient;
  const out = join(both().folder, "goClient");
  const env = { ...process.env, GO111MODULE: "off", GOPATH: goPath };
  const source = join(projectRoot, "test/wire/goClient/main.go");
  await run("go", ["build", "-o", out, source], { timeout: buildMsMax, env });
  return out;
}

test("the Go client: keys, watches, locks, reflection", { skip: noTls || noGo }, async () => {
  const command = await goClient();
  await onBoth(async ({ endpoint, caFile }) => {
    const args = caFile === undefined ? [endpoint] : [`https://${endpoint}`, caFile];
    const printed = await lines(command, args);
    assert.deepEqual(printed.slice(0, -1), [
      ...["get go/key=value", "watch PUT go/key", "txn true 1", "lock", "reflection true true"],
    ]);
    assert.match(printed.at(-1) ?? "", /^status 3\.5\./);
  });
});
