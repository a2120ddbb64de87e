// The typed client over WebSockets: the same calls, streams and bounds as embedded; strangers and garbage.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { pack, unpackMultiple } from "msgpackr";
import { WebSocket } from "ws";
import { type EtcdError, StatusCode } from "../../src/base/errors.ts";
import type { Client } from "../../src/client/client.ts";
import { connect } from "../../src/client/connect.ts";
import type { WatchEvent } from "../../src/client/watchEvent.ts";
import { Cluster } from "../../src/cluster/cluster.ts";
import { projectRoot } from "../support/paths.ts";
import { importsOf, scanSource } from "../support/sourceScan.ts";
import { turnsUntil } from "../support/turns.ts";

let cluster: Cluster;
let client: Client;
before(async () => {
  cluster = await Cluster.start({ members: 3 });
  client = connect(urls());
});
after(async () => {
  client.close();
  await cluster.close();
});

const urls = (): string[] => cluster.endpoints.map((endpoint) => `ws://${endpoint}`);
const socketUrl = (): string => `ws://${cluster.endpoints[0]}/v1/ws`;

/** A bare WebSocket, with what it received. */
async function rawSocket(options: { origin?: string } = {}) {
  const socket = new WebSocket(socketUrl(), options);
  const frames: Buffer[] = [];
  let closed = false;
  let status = 101;
  socket.on("message", (data: Buffer) => frames.push(data));
  socket.on("unexpected-response", (_request, response) => {
    status = response.statusCode ?? 0;
    socket.terminate();
  });
  socket.on("error", () => {});
  socket.on("close", () => {
    closed = true;
  });
  await turnsUntil(() => closed || frames.length > 0, "the socket opens or is refused");
  return { socket, frames, isClosed: () => closed, status: () => status };
}

test("calls are pipelined, answered and refused as anywhere else", async () => {
  const keys = Array.from({ length: 300 }, (_, i) => `ws/${i}`);
  await Promise.all(keys.map((key) => client.put(key, key)));
  const answers = await Promise.all(keys.map((key) => client.get(key)));
  assert.deepEqual(
    answers.map((pair) => pair?.text()),
    keys,
  );
  await assert.rejects(
    client.put("", "no key"),
    (error: EtcdError) =>
      error.code === StatusCode.invalidArgument && /key is not provided/.test(error.message),
  );
  const large = new Uint8Array(1 << 20).fill(7);
  await client.put("ws-large", large);
  assert.equal(Buffer.compare((await client.get("ws-large"))?.value ?? new Uint8Array(), large), 0);
});

test("a range over very many keys comes in parts, and is whole", async () => {
  const keys = Array.from({ length: 3_000 }, (_, i) => `ws-many/${String(i).padStart(5, "0")}`);
  const value = "v".repeat(200);
  await Promise.all(keys.map((key) => client.put(key, value)));
  const { pairs } = await client.getAll({ prefix: "ws-many/" });
  assert.deepEqual(
    pairs.map(({ key, value: found }) => [Buffer.from(key).toString(), found.length]),
    keys.map((key) => [key, value.length]),
  );
});

test("a watch goes on when the member behind it is killed, and comes back to it", async () => {
  const watch = client.watch({ prefix: "ws-watch/" });
  await watch.ready();
  const seen: WatchEvent[] = [];
  const reading = (async () => {
    for await (const event of watch) seen.push(event);
  })();
  let count = 0;
  const putSome = async (): Promise<void> => {
    for (let i = 0; i < 20; ) {
      try {
        await client.put(`ws-watch/${count}`, "", { timeoutMs: 5_000 });
        count++;
        i++;
      } catch (error) {
        assert.equal((error as EtcdError).code, StatusCode.unavailable);
        await new Promise(setImmediate);
      }
    }
  };
  await putSome();
  const leader = cluster.members.find(({ role }) => role === "leader");
  await leader?.kill();
  await putSome();
  await leader?.restart();
  await putSome();
  const keys = (): Set<string> => new Set(seen.map(({ pair }) => pair.keyText()));
  await turnsUntil(() => keys().size === count, "all is told", 30_000);
  const revisions = seen.map(({ pair }) => pair.modRevision);
  assert.equal(new Set(revisions).size, revisions.length, "nothing twice");
  assert.deepEqual(
    revisions,
    revisions.toSorted((a, b) => a - b),
  );
  watch.close();
  await reading;
});

test("without a member calls fail at once, and say why", async () => {
  const nowhere = connect("ws://127.0.0.1:1");
  await assert.rejects(
    nowhere.put("k", "v"),
    (error: EtcdError) =>
      error.code === StatusCode.unavailable && /ECONNREFUSED/.test(error.message),
  );
  nowhere.close();
  await assert.rejects(nowhere.put("k", "v"), /server stopped/);
  assert.throws(() => connect("ftp://127.0.0.1"), TypeError);
});

test("any msgpack library can talk to it", async () => {
  const { socket, frames } = await rawSocket();
  const [hello] = unpackMultiple(frames[0] ?? Buffer.alloc(0)) as unknown[][];
  assert.deepEqual([hello?.[0], hello?.length], [6, 4]);
  const rangeRequest = Buffer.from("0a0477732f30", "hex");
  socket.send(
    Buffer.concat([pack([1, 0, "/etcdserverpb.KV/Range"]), pack([2, 9, 0, 5_000, rangeRequest])]),
  );
  await turnsUntil(() => frames.length > 1, "an answer");
  const [answer] = unpackMultiple(frames[1] ?? Buffer.alloc(0)) as unknown[][];
  assert.deepEqual([answer?.[0], answer?.[1]], [4, 9]);
  assert.ok(Buffer.from(answer?.[2] as Uint8Array).includes("ws/0"));
  socket.terminate();
});

test("garbage closes the client that sends it, and no other", async () => {
  const rows: readonly (string | Buffer)[] = [
    "text",
    Buffer.from("c1", "hex"),
    Buffer.from("950201000ac6ffffffff", "hex"),
    Buffer.from("92".repeat(100_000), "hex"),
    Buffer.from("d57200", "hex"),
    Buffer.alloc(9 << 20),
  ];
  for (const row of rows) {
    const { socket, isClosed } = await rawSocket();
    socket.send(row);
    await turnsUntil(isClosed, `closed after ${row.length} bytes`);
    assert.equal((await client.get("ws/0"))?.text(), "ws/0");
  }
});

test("pages of other origins are refused, the member's own and programs are not", async () => {
  const rows = [
    { origin: "http://evil.example", status: 403 },
    { origin: "null", status: 403 },
    { origin: `http://${cluster.endpoints[0]}`, status: 101 },
  ];
  for (const { origin, status } of rows) {
    const raw = await rawSocket({ origin });
    assert.equal(raw.status(), status, origin);
    raw.socket.terminate();
  }
});

test("a client that stops reading is read no more, and its answers are bounded", async () => {
  const value = new Uint8Array(1 << 20);
  await client.put("ws-bulk", value);
  const { socket, frames } = await rawSocket();
  socket.pause();
  const heard = frames.length;
  const request = Buffer.from(`0a0777732d62756c6b`, "hex");
  socket.send(pack([1, 0, "/etcdserverpb.KV/Range"]));
  for (let id = 1; id <= 1_000; id++) socket.send(pack([2, id, 0, 60_000, request]));
  // The member's memory is this process's: a gigabyte would show.
  for (let i = 0; i < 50; i++) assert.ok(await client.get("ws/0"));
  const rss = process.memoryUsage().rss;
  assert.ok(rss < 1_200 << 20, `${rss >> 20} MiB`);
  socket.resume();
  await turnsUntil(() => frames.length > heard, "it goes on when it reads again", 30_000);
  socket.terminate();
});

test("the browser's entry reaches no module of Node", () => {
  const waiting = ["src/browser.ts"];
  const reached = new Set<string>();
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    const source = scanSource(path, readFileSync(join(projectRoot, path), "utf8"));
    for (const { specifier } of importsOf(source)) {
      assert.match(specifier, /^\.\.?\//, `${path} imports ${specifier}`);
      waiting.push(posix.join(posix.dirname(path), specifier));
    }
    assert.doesNotMatch(source.code, /(?<![.\w])(process|__dirname|require)\b(?!\s*[:=])/, path);
  }
  assert.ok(
    reached.has("src/client/socketChannel.ts") && reached.has("src/transport/callBatch.ts"),
  );
});

test("it works where there is no Buffer, and a program that is done ends by itself", async () => {
  const href = (path: string): string =>
    JSON.stringify(pathToFileURL(join(projectRoot, path)).href);
  const program = `
    const { WebSocket } = await import(${href("node_modules/ws/wrapper.mjs")});
    const { Buffer, setImmediate } = globalThis;
    // As a browser has it, while the client is loaded.
    globalThis.Buffer = globalThis.setImmediate = undefined;
    globalThis.WebSocket = WebSocket;
    const { connect } = await import(${href(".build/src/browser.js")});
    Object.assign(globalThis, { Buffer, setImmediate });
    const client = connect(${JSON.stringify(urls())});
    const watch = client.watch("browser");
    await watch.ready();
    await client.put("browser", "grüß");
    for await (const { pair } of watch) { console.log(pair.keyText(), pair.text()); break; }
    client.close();
  `;
  const node = (text: string) =>
    promisify(execFile)(process.execPath, ["--input-type=module", "-e", text], { timeout: 60_000 });
  // Timers of MessageChannels hold a process of Node, where nobody uses them.
  const browser = await node(`${program} process.exit(0);`);
  assert.equal(browser.stdout, "browser grüß\n");
  const plain = await node(`
    const { connect } = await import(${href(".build/src/quorlet.js")});
    const client = connect(${JSON.stringify(urls())});
    console.log((await client.get("browser")).text());
  `);
  assert.equal(plain.stdout, "grüß\n", "an idle client keeps no program alive");
});
