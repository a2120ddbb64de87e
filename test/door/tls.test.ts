// Client TLS: who is let in, by which rules, on every address alike; certificates that change; unix
// sockets and split addresses.
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { request as httpsRequest, type RequestOptions } from "node:https";
import { connect as connectPlain } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { Client, credentials } from "@grpc/grpc-js";
import type { LogFields } from "../../src/base/ports.ts";
import { opensslCiphers } from "../../src/door/cipherSuites.ts";
import { openHttpDoor } from "../../src/door/httpDoor.ts";
import { type DoorRules, Listener, type ListenerOptions } from "../../src/door/listener.ts";
import { makeCertificate } from "../../src/door/ownCertificate.ts";
import type { MethodTable, UnaryCall } from "../../src/grpc/call.ts";
import { CertificateFolder, hasOpenssl, noOpensslReason } from "../support/certificates.ts";
import { encodeMessage } from "../support/messages.ts";

const skip = hasOpenssl() ? false : noOpensslReason;
const answer = encodeMessage("PutResponse", { header: { revision: 5 } });
const text = '{"header":{"revision":"5"}}';

function openListener(t: TestContext, options: ListenerOptions = {}): Listener {
  const methods: MethodTable = {
    unary: new Map([["/etcdserverpb.KV/Put", (call: UnaryCall) => call.respond(answer)]]),
    stream: new Map(),
  };
  const onMistake = (error: unknown): void => assert.fail(`${error}`);
  const listener = new Listener({ onMistake, ...options });
  listener.serve(methods, openHttpDoor({ methods, onMistake }));
  t.after(() => listener.close({ graceMs: 0 }));
  return listener;
}

async function portOf(listener: Listener, rules: DoorRules): Promise<number> {
  return (await listener.listen({ host: "127.0.0.1", port: 0 }, rules)).port;
}

interface Caller {
  readonly ca: Buffer | string;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

function putJson(port: number, caller: Caller): Promise<string> {
  const options: RequestOptions = {
    ...{ host: "127.0.0.1", port, method: "POST", path: "/v3/kv/put", agent: false },
    ...caller,
  };
  return new Promise((resolve) => {
    const asked = httpsRequest(options, (response) => {
      let body = "";
      response.on("data", (chunk: Buffer) => {
        body += chunk.toString();
      });
      response.on("end", () => resolve(body));
    });
    asked.on("error", (error: NodeJS.ErrnoException) => resolve(`error ${error.code}`));
    asked.end('{"key":"YQ=="}');
  });
}

function putGrpc(port: number, { ca, cert, key }: Caller): Promise<string> {
  const client = new Client(
    `127.0.0.1:${port}`,
    credentials.createSsl(Buffer.from(ca), key ?? null, cert ?? null),
  );
  const same = (bytes: Buffer): Buffer => bytes;
  return new Promise((resolve) => {
    const deadline = Date.now() + 20_000;
    client.makeUnaryRequest(
      "/etcdserverpb.KV/Put",
      same,
      same,
      Buffer.alloc(0),
      { deadline },
      (error, got) => {
        client.close();
        resolve(error === null ? `revision ${got?.length}` : `error ${error.code}`);
      },
    );
  });
}

test("gRPC, HTTP/1.1 and HTTP/2 JSON come through one port with TLS", { skip }, async (t) => {
  using folder = new CertificateFolder();
  const { cert, key } = folder.issue("server");
  const port = await portOf(openListener(t), { tls: { certFile: cert, keyFile: key } });
  const ca = readFileSync(folder.ca.cert);
  assert.equal(await putJson(port, { ca }), text);
  assert.equal(await putGrpc(port, { ca }), `revision ${answer.length}`);
  const session = connectHttp2(`https://127.0.0.1:${port}`, { ca });
  const stream = session.request({ ":method": "POST", ":path": "/v3/kv/put" });
  stream.end("{}");
  let body = "";
  for await (const chunk of stream) body += `${chunk}`;
  session.destroy();
  assert.equal(body, text);
});

test("without TLS nothing is understood on a TLS address", { skip }, async (t) => {
  using folder = new CertificateFolder();
  const { cert, key } = folder.issue("server");
  const port = await portOf(openListener(t), { tls: { certFile: cert, keyFile: key } });
  const socket = connectPlain(port, "127.0.0.1");
  let got = "";
  socket.on("data", (chunk: Buffer) => {
    got += chunk.toString("latin1");
  });
  socket.on("error", () => {});
  socket.write("POST /v3/kv/put HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}");
  await new Promise((resolve) => socket.on("close", resolve));
  assert.doesNotMatch(got, /HTTP/);
});

test("clients without a good certificate are kept out, on every address", { skip }, async (t) => {
  using folder = new CertificateFolder();
  using stranger = new CertificateFolder();
  const server = folder.issue("server");
  const [good, bad] = [folder.issue("good"), folder.issue("bad")];
  const other = stranger.issue("good");
  const crlFile = folder.revoke(bad);
  const tls = {
    ...{ certFile: server.cert, keyFile: server.key, trustedCaFile: folder.ca.cert, crlFile },
    clientCertAuth: true,
  };
  const lines: LogFields[] = [];
  const warn = (_message: string, fields: LogFields = {}): void => void lines.push(fields);
  const log = { debug() {}, info: warn, warn, error: warn };
  const listener = openListener(t, { log });
  const ports = [await portOf(listener, { tls }), await portOf(listener, { tls })];
  const ca = readFileSync(folder.ca.cert);
  const withFiles = (issued: { cert: string; key: string }): Caller => ({
    ca,
    cert: readFileSync(issued.cert),
    key: readFileSync(issued.key),
  });
  for (const port of ports) {
    assert.equal(await putJson(port, withFiles(good)), text);
    assert.equal(await putGrpc(port, withFiles(good)), `revision ${answer.length}`);
    for (const [who, caller] of [
      ["nobody", { ca }],
      ["a revoked one", withFiles(bad)],
      ["one of another issuer", withFiles(other)],
    ] as const) {
      assert.match(await putJson(port, caller), /^error /, who);
      assert.equal(await putGrpc(port, caller), "error 14", who);
    }
  }
  // Each of them came several times, and is told of once by each address, with who it was.
  const told = lines.map(({ error, subject, issuer }) => `${error} ${subject} ${issuer}`);
  const wanted = ["CERT_REVOKED bad test issuer", "good test issuer", "undefined undefined"];
  assert.equal(told.length, 2 * wanted.length, told.join("\n"));
  for (const text of wanted) {
    assert.equal(told.filter((line) => line.endsWith(text)).length, 2, told.join("\n"));
  }
});

test("certificates are read again when their files change; bad ones change nothing", {
  skip,
}, async (t) => {
  using folder = new CertificateFolder();
  const [first, second] = [folder.issue("first"), folder.issue("second")];
  const [certFile, keyFile] = [join(folder.path, "in-use.crt"), join(folder.path, "in-use.key")];
  const use = (cert: string, key: string, count: number): void => {
    copyFileSync(cert, certFile);
    copyFileSync(key, keyFile);
    // Whole seconds, so that no clock of a file system is too coarse.
    for (const file of [certFile, keyFile]) utimesSync(file, count, count);
    assert.equal(statSync(certFile).mtimeMs, count * 1000);
  };
  use(first.cert, first.key, 1);
  const port = await portOf(openListener(t), { tls: { certFile, keyFile } });
  const shown = async (): Promise<string> => {
    const socket = await handshake({ port, ca: readFileSync(folder.ca.cert) });
    const name = socket.getPeerCertificate().subject.CN;
    socket.destroy();
    return `${name}`;
  };
  assert.equal(await shown(), "first");
  use(second.cert, second.key, 2);
  assert.equal(await shown(), "second");
  use(first.cert, second.key, 3);
  assert.equal(await shown(), "second", "a key of another certificate");
  rmSync(certFile);
  assert.equal(await shown(), "second", "a missing file");
  use(first.cert, first.key, 4);
  assert.equal(await shown(), "first");
});

test("versions and cipher suites are as asked for", { skip }, async (t) => {
  using folder = new CertificateFolder();
  const { cert, key } = folder.issue("server");
  const files = { certFile: cert, keyFile: key };
  const listener = openListener(t);
  const ca = readFileSync(folder.ca.cert);
  const newest = await portOf(listener, { tls: { ...files, minVersion: "TLSv1.3" } });
  await assert.rejects(handshake({ port: newest, ca, maxVersion: "TLSv1.2" }));
  (await handshake({ port: newest, ca })).destroy();
  const cipherSuites = ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"];
  const picky = await portOf(listener, { tls: { ...files, cipherSuites, maxVersion: "TLSv1.2" } });
  const socket = await handshake({ port: picky, ca });
  assert.equal(socket.getCipher().standardName, cipherSuites[0]);
  socket.destroy();
  const others = "ECDHE-ECDSA-AES128-GCM-SHA256";
  await assert.rejects(handshake({ port: picky, ca, ciphers: others, maxVersion: "TLSv1.2" }));
  assert.throws(() => opensslCiphers(["NONE"]), /unexpected TLS cipher suite "NONE"/);
});

test("a connection without ClientHello, or with half of one, ends by deadline", {
  skip,
}, async (t) => {
  using folder = new CertificateFolder();
  const { cert, key } = folder.issue("server");
  // Long enough for a handshake on a busy machine, as the last of these makes one.
  const listener = openListener(t, { http2: { handshakeMsMax: 1_500 } });
  const port = await portOf(listener, { tls: { certFile: cert, keyFile: key } });
  const ends = ["", "\x16\x03\x01\x02\x00\x01"].map((first) => {
    const socket = connectPlain(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.resume();
    if (first !== "") socket.write(Buffer.from(first, "latin1"));
    return new Promise((resolve) => socket.on("close", resolve));
  });
  // Behind the handshake the same deadline holds for the first bytes.
  const silent = await handshake({ port, ca: readFileSync(folder.ca.cert) });
  silent.resume();
  ends.push(new Promise((resolve) => silent.on("close", resolve)));
  await Promise.all(ends);
});

test("a certificate of one's own is good for the hosts it names", async (t) => {
  const own = makeCertificate(["127.0.0.1", "::1", "localhost"], Date.now());
  const port = await portOf(openListener(t), { tls: own });
  assert.equal(await putJson(port, { ca: own.cert }), text);
  assert.equal(await putGrpc(port, { ca: own.cert }), `revision ${answer.length}`);
  const socket = await handshake({ port, ca: own.cert, servername: "localhost" });
  assert.equal(socket.authorized, true);
  assert.match(
    `${socket.getPeerCertificate().subjectaltname}`,
    /127\.0\.0\.1.*0:0:0:0:0:0:0:1.*localhost/,
  );
  socket.destroy();
  const elsewhere = makeCertificate(["elsewhere"], Date.now());
  const other = await portOf(openListener(t), { tls: elsewhere });
  assert.match(await putJson(other, { ca: elsewhere.cert }), /^error ERR_TLS_CERT_ALTNAME_INVALID/);
});

test("unix sockets speak all of it, and an address may leave out HTTP/1", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "quorlet-unix-"));
  const listener = openListener(t);
  const path = join(folder, "s");
  await listener.listenUnix({ path });
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const put = (options: RequestOptions): Promise<string> =>
    new Promise((resolve) => {
      const asked = httpRequest({ ...options, method: "POST", path: "/v3/kv/put" }, (response) => {
        response.on("data", (chunk: Buffer) => resolve(chunk.toString()));
      });
      asked.on("error", (error: NodeJS.ErrnoException) => resolve(`error ${error.code}`));
      asked.end("{}");
    });
  assert.equal(await put({ socketPath: path }), text);
  const grpcOnly = await portOf(listener, { serves: "grpc" });
  assert.match(await put({ host: "127.0.0.1", port: grpcOnly }), /^error /);
  const httpOnly = await portOf(listener, { serves: "http" });
  assert.equal(await put({ host: "127.0.0.1", port: httpOnly }), text);
});

function handshake(options: ConnectionOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host: "127.0.0.1", ALPNProtocols: ["h2"], ...options });
    socket.once("secureConnect", () => resolve(socket));
    socket.once("error", reject);
  });
}
