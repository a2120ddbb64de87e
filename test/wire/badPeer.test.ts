// Whoever reaches a peer port and is no good member: refused, or heard without harm. Each row against
// three processes that go on to serve.
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { pack } from "msgpackr";
import { WebSocket } from "ws";
import { MemberId } from "../../src/base/brand.ts";
import { seedMembers } from "../../src/cluster/identity.ts";
import { FrameKind } from "../../src/transport/frame.ts";
import { handshakeHeaders, peerPath } from "../../src/transport/handshake.ts";
import { KvClient } from "../support/kvClient.ts";
import { MemberProcesses } from "../support/memberProcesses.ts";

const waitMsMax = 30_000;

type Headers = Record<string, string>;

/** @returns an open connection, or the status of the refusal. */
function upgrade(url: string, headers: Headers): Promise<WebSocket | number> {
  const socket = new WebSocket(`${url}${peerPath}`, { headers });
  return new Promise((resolve) => {
    socket.on("error", () => undefined);
    socket.on("open", () => resolve(socket));
    socket.on("unexpected-response", (_request, response) => {
      resolve(response.statusCode ?? 0);
      socket.terminate();
    });
  });
}

/** A raft frame around any header. */
function frameOf(header: Uint8Array, claimedBytes = header.length): Uint8Array {
  const prefix = Buffer.from([1, FrameKind.raft, 0, 0, 0, 0]);
  prefix.writeUInt32LE(claimedBytes, 2);
  return Buffer.concat([prefix, header]);
}
const packed = (...numbers: readonly unknown[]): Uint8Array => Buffer.from(pack(numbers));
const message = { append: 1, heartbeat: 3 } as const;

suite("three processes and a bad peer", () => {
  let cluster: MemberProcesses;
  let members: { readonly id: MemberId; readonly url: string }[];
  let clusterId: bigint;
  before(async () => {
    cluster = await MemberProcesses.start();
    const seed = seedMembers(
      cluster.names.map((name, i) => ({ name, peerUrls: [cluster.peerUrl(i)] })),
      "mesh-test",
    );
    clusterId = seed.clusterId;
    members = seed.members.map(({ id, peerUrls }) => ({ id, url: peerUrls[0] ?? "" }));
    // By ascending id: of two members the first one dials.
    members.sort((a, b) => (a.id < b.id ? -1 : 1));
  });
  after(() => cluster[Symbol.asyncDispose]());

  const at = (i: number) => members[i] ?? assert.fail(`there is a member ${i}`);

  async function allServe(what: string): Promise<void> {
    for (const name of cluster.names) {
      const { child, endpoint } = cluster.member(name);
      assert.equal(child.ending, undefined, `${what}: ${name} runs`);
      const client = new KvClient(endpoint);
      await served(client, what);
      assert.equal((await client.get("what"))?.value, what);
      client.close();
    }
  }

  /** Who heard of a higher term costs a leader its place: a put may have to be asked for again. */
  async function served(client: KvClient, what: string): Promise<void> {
    const endMs = performance.now() + waitMsMax;
    for (;;) {
      const failure = await client.put("what", what).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (failure === undefined) return;
      if (performance.now() > endMs) throw failure;
    }
  }

  /** What the last member answers to a good upgrade of the first that was changed a little. */
  async function assertRefused(headers: Headers, status: number, what: string): Promise<void> {
    const [low, high] = [at(0), at(2)];
    const good = handshakeHeaders({ clusterId, id: low.id }, high.id);
    assert.equal(await upgrade(high.url, { ...good, ...headers }), status, what);
  }

  const introducedAs = (id: MemberId, { to = at(2).id, cluster = clusterId } = {}): Headers =>
    handshakeHeaders({ clusterId: cluster, id }, to);

  test("bad peer: an upgrade with an Origin is refused", async () => {
    await assertRefused({ origin: "http://evil" }, 403, "another site");
    await assertRefused({ origin: at(2).url.replace("ws", "http") }, 403, "its own address");
    await allServe("after pages");
  });

  test("bad peer: an upgrade with another cluster id is refused", async () => {
    const other = introducedAs(at(0).id, { cluster: clusterId ^ 1n });
    await assertRefused(other, 412, "cluster id");
    await allServe("after another cluster");
  });

  test("bad peer: an upgrade that no member would send is refused", async () => {
    const rows: readonly { what: string; headers: Headers; status: number }[] = [
      { what: "receiver", status: 412, headers: introducedAs(at(0).id, { to: at(1).id }) },
      { what: "stranger", status: 403, headers: introducedAs(MemberId(1n)) },
      { what: "sender that is the receiver", status: 403, headers: introducedAs(at(2).id) },
      { what: "version", headers: { "x-quorlet-protocol": "9000" }, status: 400 },
      { what: "version text", headers: { "x-quorlet-protocol": "1-" }, status: 400 },
      { what: "lane", headers: { "x-quorlet-lane": "fast" }, status: 400 },
    ];
    for (const { what, headers, status } of rows) await assertRefused(headers, status, what);
    await allServe("after upgrades");
  });

  /** Says it to the last member in the name of the first. */
  async function forge(frames: readonly Uint8Array[], what: string): Promise<void> {
    const socket = await upgrade(at(2).url, introducedAs(at(0).id));
    assert.ok(socket instanceof WebSocket, `${what}: without TLS a forged sender is let in`);
    await new Promise<void>((resolve) => {
      // The pong comes after the frames were taken; or the connection is closed.
      socket.on("pong", () => resolve());
      socket.on("close", () => resolve());
      for (const frame of frames) socket.send(frame);
      socket.ping();
    });
    socket.terminate();
  }

  async function forgeEach(rows: Readonly<Record<string, Uint8Array>>): Promise<void> {
    for (const [what, frame] of Object.entries(rows)) await forge([frame], what);
  }

  test("bad peer: msgpack that claims gigabytes, nests, extends or goes on is dropped", async () => {
    await forgeEach({
      "4 GiB in 6 bytes": frameOf(Buffer.of(), 0xffff_ffff),
      "2^32 numbers": frameOf(Buffer.of(0xdd, 0xff, 0xff, 0xff, 0xff)),
      "depth 100,000": frameOf(Buffer.alloc(100_000, 0x91)),
      "extension 0x70": frameOf(Buffer.of(0x91, 0xd4, 0x70, 0)),
      "record definition": frameOf(Buffer.of(0xd4, 0x72, 0x40)),
      "trailing bytes": frameOf(Buffer.concat([packed(10, 1), Buffer.of(7)])),
    });
    await allServe("after msgpack");
  });

  test("bad peer: a forged sender with frames of no kind is heard without harm", async () => {
    await forgeEach({
      nothing: Buffer.of(),
      "an unknown lane": Buffer.of(1, 99, 0, 0, 0, 0),
      "a version of tomorrow": Buffer.of(2, 1, 0, 0, 0, 0),
      "half a chunk": Buffer.of(1, FrameKind.bulk, 0, 0, 0, 0),
      "half a lease question": Buffer.of(1, FrameKind.lease, 0, 0, 0, 0),
      "half a change": Buffer.of(1, FrameKind.membership, 0, 0, 0, 0),
    });
    await allServe("after frames");
  });

  test("bad peer: a term of 2^53 is no term", async () => {
    await forgeEach({
      "a heartbeat": frameOf(packed(message.heartbeat, 2 ** 53, 0, 0)),
      "an append": frameOf(packed(message.append, 2 ** 53, 0, 0, 0, 0, 0)),
    });
    await allServe("after terms");
  });

  test("bad peer: a commit past the last index commits nothing", async () => {
    // Of a term that is above theirs, or nobody would listen.
    await forgeEach({
      "a heartbeat": frameOf(packed(message.heartbeat, 1_000, 1e9, 0)),
      "an append": frameOf(packed(message.append, 1_001, 0, 0, 1e9, 0, 0)),
    });
    await allServe("after commits");
  });

  test("bad peer: whoever is let in does not fill the log", async () => {
    const [low, high] = [at(0), at(2)];
    const name = cluster.names.find((_, i) => cluster.peerUrl(i) === high.url) ?? "";
    const { child } = cluster.member(name);
    const linesOf = (): number => child.output.split("\n").length;
    const before = linesOf();
    for (let round = 0; round < 10; round++) {
      const socket = await upgrade(high.url, handshakeHeaders({ clusterId, id: low.id }, high.id));
      assert.ok(socket instanceof WebSocket);
      for (let i = 0; i < 50; i++) socket.send(frameOf(Buffer.alloc(9, 0x91)));
      await new Promise<void>((resolve) => {
        socket.on("pong", () => resolve());
        socket.on("close", () => resolve());
        socket.ping();
      });
      socket.terminate();
      for (const origin of ["http://a", "http://b", "http://c"]) {
        const headers = { ...handshakeHeaders({ clusterId, id: low.id }, high.id), origin };
        assert.equal(await upgrade(high.url, headers), 403);
      }
    }
    await allServe("after a flood");
    assert.ok(linesOf() - before < 20, child.output);
  });
});
