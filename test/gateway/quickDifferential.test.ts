// The same bytes to our own reader of HTTP/1.1 and to Node's: the same answers, the same end.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Prng } from "../../src/base/prng.ts";
import { openHttpDoor } from "../../src/door/httpDoor.ts";
import { Listener } from "../../src/door/listener.ts";
import type { UnaryCall } from "../../src/grpc/call.ts";
import { GrpcStats } from "../../src/grpc/stats.ts";
import { encodeMessage } from "../support/messages.ts";
import { Raw } from "../support/rawConnection.ts";

const seed = Number(process.env.QUORLET_SEED ?? 12);
const conversations = 300;
const atOnce = 50;
/** Whoever waits for more is given up soon. */
const limits = {
  ...{ headersMsMax: 250, requestMsMax: 250, idleMsMax: 5_000, checkEveryMs: 20 },
  ...{ bodyBytesMax: 3_000, headerBytesMax: 4_000 },
};
/** A refusal of what is no request, or of an upgrade: the last answer. */
const breakOff = /HTTP\/1\.1 4\d\d [^\r]*\r\nconnection: close\r\n/;
/** Ends a connection that was not ended before. */
const last = "GET /version HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

interface Doors {
  readonly quick: number;
  readonly slow: number;
  /** Calls that were answered, by door. */
  readonly calls: { quick: number; slow: number };
}

async function openDoors(t: TestContext): Promise<Doors> {
  const calls = { quick: 0, slow: 0 };
  const open = async (name: "quick" | "slow"): Promise<number> => {
    // The answer tells the request apart; ranges are answered a turn later.
    const answer = (call: UnaryCall, message: Uint8Array): void => {
      calls[name]++;
      call.respond(encodeMessage("PutResponse", { header: { revision: sumOf(message) } }));
    };
    const methods = {
      unary: new Map([
        ["/etcdserverpb.KV/Put", answer],
        [
          "/etcdserverpb.KV/Range",
          (call: UnaryCall, message: Uint8Array) => {
            const copy = Uint8Array.from(message);
            setImmediate(() => answer(call, copy));
          },
        ],
      ]),
      stream: new Map(),
    };
    const onMistake = (error: unknown): void => assert.fail(`${error}`);
    const listener = new Listener({ onMistake, stats: new GrpcStats() });
    const { port } = await listener.listen({ host: "127.0.0.1", port: 0 });
    const access = { cors: ["http://good.example"], hostWhitelist: ["a", "b", "127.0.0.1"] };
    const isSlow = name === "slow";
    listener.serve(methods, openHttpDoor({ methods, onMistake, limits, access, isSlow }));
    t.after(() => listener.close({ graceMs: 0 }));
    return port;
  };
  return { quick: await open("quick"), slow: await open("slow"), calls };
}

function sumOf(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => (sum * 31 + byte) % 1_000_003, bytes.length + 1);
}

/** All that comes back until the end. @param isPatient waits for the answer to the first piece. */
async function converse(
  port: number,
  pieces: readonly string[],
  isPatient: boolean,
): Promise<{ readonly text: string; readonly wasReset: boolean }> {
  const raw = new Raw(port);
  raw.socket.setNoDelay(true);
  for (const piece of pieces) {
    raw.send(piece);
    await new Promise((done) => raw.socket.write("", done));
    if (isPatient && piece === pieces[0]) await raw.until(/}}$/);
    else await new Promise(setImmediate);
  }
  await raw.closed();
  return { text: raw.text.replace(/^Date: .*$/gm, "Date: now"), wasReset: raw.wasReset };
}

async function compare(
  doors: Doors,
  pieces: readonly string[],
  { isPatient = false, isHasty = false } = {},
): Promise<string> {
  const [quick, slow] = await Promise.all([
    converse(doors.quick, pieces, isPatient),
    converse(doors.slow, pieces, isPatient),
  ]);
  const [ours, nodes] = [quick.text, slow.text];
  // Node forgets answers that are due when what follows breaks off: ours may have more of them.
  const breakAt = isHasty ? nodes.search(breakOff) : -1;
  if (isHasty && (quick.wasReset || slow.wasReset)) {
    const common = Math.min(ours.search(breakOff) >>> 0, breakAt >>> 0, ours.length, nodes.length);
    assert.equal(ours.slice(0, common), nodes.slice(0, common), shown(pieces));
  } else if (breakAt < 0) assert.equal(ours, nodes, shown(pieces));
  else {
    assert.ok(ours.startsWith(nodes.slice(0, breakAt)), shown(pieces));
    assert.ok(ours.endsWith(nodes.slice(breakAt)), shown(pieces));
  }
  return ours;
}

function shown(pieces: readonly string[]): string {
  return JSON.stringify(pieces).replace(/(.)\1{40,}/g, "$1...");
}

function post(body: string, head = `Host: a\r\nContent-Length: ${body.length}\r\n`): string {
  return `POST /v3/kv/put HTTP/1.1\r\n${head}\r\n${body}`;
}

const key = '{"key":"Zm9v"}';
const smuggled = "0\r\n\r\nPOST /v3/kv/put HTTP/1.1\r\nHost: a\r\n\r\n";

/** By name; what two readers might understand differently, each alone on a connection. */
const odd: Readonly<Record<string, string>> = {
  plain: post(key),
  "other case of names": post(key, "HOST: a\r\nCONTENT-length: 14\r\n"),
  "white space around values": post(key, "Host: \t a \t\r\nContent-Length:14   \r\n"),
  "both length and encoding": post(
    smuggled,
    "Host: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n",
  ),
  "encoding before length": post(
    smuggled,
    "Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n",
  ),
  chunked: post(`e\r\n${key}\r\n0\r\n\r\n`, "Host: a\r\nTransfer-Encoding: chunked\r\n"),
  "an encoding nobody knows": post(key, "Host: a\r\nTransfer-Encoding: xchunked\r\n"),
  "chunked twice": post(smuggled, "Host: a\r\nTransfer-Encoding: chunked, chunked\r\n"),
  "two lengths that differ": post(key, "Host: a\r\nContent-Length: 14\r\nContent-Length: 5\r\n"),
  "two lengths alike": post(key, "Host: a\r\nContent-Length: 14\r\nContent-Length: 14\r\n"),
  "a list of lengths": post(key, "Host: a\r\nContent-Length: 14, 14\r\n"),
  "a signed length": post(key, "Host: a\r\nContent-Length: +14\r\n"),
  "a negative length": post(key, "Host: a\r\nContent-Length: -14\r\n"),
  "a hexadecimal length": post(key, "Host: a\r\nContent-Length: 0xe\r\n"),
  "an empty length": post(key, "Host: a\r\nContent-Length:\r\n"),
  "a length with zeros before it": post(key, "Host: a\r\nContent-Length: 014\r\n"),
  "a huge length": post(key, "Host: a\r\nContent-Length: 99999999999999999999999\r\n"),
  "no length": post("", "Host: a\r\n"),
  "a folded line": post(key, "Host: a\r\nX: b\r\n c\r\nContent-Length: 14\r\n"),
  "a folded length": post(key, "Host: a\r\nContent-Length:\r\n 14\r\n"),
  "space before the colon": post(key, "Host: a\r\nContent-Length : 14\r\n"),
  "a line without colon": post(key, "Host: a\r\nContent-Length: 14\r\nX\r\n"),
  "a name of nothing": post(key, "Host: a\r\nContent-Length: 14\r\n: x\r\n"),
  "an odd byte in a name": post(key, "Host: a\r\nContent-Length: 14\r\nX\x00: x\r\n"),
  "an odd byte in a value": post(key, "Host: a\r\nContent-Length: 14\r\nX: \x01\r\n"),
  "a carriage return in a value": post(key, "Host: a\r\nContent-Length: 14\r\nX: a\rb\r\n"),
  "lines that end without carriage return": post(key).replaceAll("\r\n", "\n"),
  "a head that ends without carriage return": post(key).replace("\r\n\r\n", "\r\n\n"),
  "no host": post(key, "Content-Length: 14\r\n"),
  "an empty host": post(key, "Host:\r\nContent-Length: 14\r\n"),
  "two hosts": post(key, "Host: a\r\nHost: evil\r\nContent-Length: 14\r\n"),
  "a foreign host": post(key, "Host: evil.example\r\nContent-Length: 14\r\n"),
  "a host with a port": post(key, "Host: b:2379\r\nContent-Length: 14\r\n"),
  "a good origin": post(key, "Host: a\r\nOrigin: http://good.example\r\nContent-Length: 14\r\n"),
  "a foreign origin": post(key, "Host: a\r\nOrigin: http://evil\r\nContent-Length: 14\r\n"),
  "an expectation": post(key, "Host: a\r\nExpect: 100-continue\r\nContent-Length: 14\r\n"),
  "an odd expectation": post(key, "Host: a\r\nExpect: x\r\nContent-Length: 14\r\n"),
  "an upgrade": post(
    key,
    "Host: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 14\r\n",
  ),
  "a connection to be closed": post(key, "Host: a\r\nConnection: close\r\nContent-Length: 14\r\n"),
  "a connection to be kept": post(
    key,
    "Host: a\r\nConnection: Keep-Alive\r\nContent-Length: 14\r\n",
  ),
  "HTTP/1.0": post(key).replace("HTTP/1.1", "HTTP/1.0"),
  "HTTP/1.2": post(key).replace("HTTP/1.1", "HTTP/1.2"),
  "two spaces in the first line": post(key).replace("POST ", "POST  "),
  "an empty line before it": `\r\n${post(key)}`,
  "a whole address": post(key).replace("/v3", "http://a/v3"),
  "a query": post(key).replace("/put", "/put?encoding=utf8"),
  "an unknown path": post(key).replace("/put", "/nope"),
  "another verb": post(key).replace("POST", "PUT"),
  "a method that is missing here": post(key).replace("/kv/put", "/auth/enable"),
  "a deadline": post(key, "Host: a\r\nGrpc-Timeout: 5S\r\nContent-Length: 14\r\n"),
  "a deadline that is none": post(key, "Host: a\r\nGrpc-Timeout: 5x\r\nContent-Length: 14\r\n"),
  "a deadline that has passed": post(key, "Host: a\r\nGrpc-Timeout: 1n\r\nContent-Length: 14\r\n"),
  "many fields": post(key, `Host: a\r\nContent-Length: 14\r\n${"X: y\r\n".repeat(80)}`),
  "a long field": post(key, `Host: a\r\nContent-Length: 14\r\nX: ${"y".repeat(3_000)}\r\n`),
  "a head that is too long": post(
    key,
    `Host: a\r\nContent-Length: 14\r\nX: ${"y".repeat(5_000)}\r\n`,
  ),
  "an empty body": post(""),
  "a body that is no JSON": post("nope"),
  "a body of text in UTF-8": post('{"key":"\xc3\xa9"}'),
  "a long body": post(`{"key":"${"A".repeat(2_000)}"}`),
  "a body that is too long": post(`{"key":"${"A".repeat(4_000)}"}`),
  "a body that never comes": post("", "Host: a\r\nContent-Length: 2000\r\n"),
};

test("what could be smuggled is understood as Node understands it", async (t) => {
  const doors = await openDoors(t);
  const rows = Object.entries(odd);
  for (let i = 0; i < rows.length; i += atOnce) {
    await Promise.all(
      rows.slice(i, i + atOnce).flatMap(([name, text]) => [
        compare(doors, [text + last]),
        // Behind a good one, and cut in two within its head.
        compare(doors, [post(key), text.slice(0, 25), text.slice(25) + last], {
          isPatient: true,
        }).then((answer) => assert.match(answer, /^HTTP\/1.1 200 /, name)),
      ]),
    );
  }
  assert.equal(doors.calls.quick, doors.calls.slow);
});

test(`random conversations are answered as Node answers them, seed ${seed}`, async (t) => {
  const doors = await openDoors(t);
  const random = new Prng(seed);
  const all = Array.from({ length: conversations }, () => conversation(random));
  let good = 0;
  for (let i = 0; i < all.length; i += atOnce) {
    const some = all
      .slice(i, i + atOnce)
      .map((pieces) => compare(doors, pieces, { isHasty: true }));
    for (const answer of await Promise.all(some)) {
      if (answer.split("HTTP/1.1 200 ").length > 3) good++;
    }
  }
  // Not all of them break off early.
  assert.ok(good > conversations / 5, `${good} were answered several times`);
});

// Some requests in a row, now and then broken, cut anywhere.
function conversation(random: Prng): readonly string[] {
  const requests = Object.values(odd);
  let text = "";
  for (let count = 1 + random.integer(5); count > 0; count--) {
    const usual = random.oneIn(2) ? post(key) : post(key).replace("/put", "/range");
    const request = random.oneIn(4) ? (requests[random.integer(requests.length)] ?? "") : usual;
    text += random.oneIn(12) ? spoilt(request, random) : request;
  }
  text += last;
  const pieces: string[] = [];
  while (text.length > 0 && pieces.length < 6) {
    const length = random.oneIn(3) ? text.length : 1 + random.integer(120);
    pieces.push(text.slice(0, length));
    text = text.slice(length);
  }
  return text.length === 0 ? pieces : [...pieces, text];
}

function spoilt(text: string, random: Prng): string {
  const at = random.integer(text.length);
  const odds = ["\r", "\n", " ", "\t", ":", "\x00", "\xff", ",", "0", ""];
  return text.slice(0, at) + (odds[random.integer(odds.length)] ?? "") + text.slice(at + 1);
}
