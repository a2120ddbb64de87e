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
      await client.put("what", what);
      assert.equal((await client.get("what"))?.value, what);
      client.close();
    }
  }

  test("bad peer: upgrades that no member of this cluster would send", async () => {
    const [low, high] = [at(0), at(2)];
    const good = handshakeHeaders({ clusterId, id: low.id }, high.id);
    const rows: readonly { what: string; headers: Headers; status: number }[] = [
      { what: "Origin", headers: { ...good, origin: "http://evil" }, status: 403 },
      {
        ...{ what: "cluster id", status: 412 },
        headers: handshakeHeaders({ clusterId: clusterId ^ 1n, id: low.id }, high.id),
      },
      {
        ...{ what: "receiver", status: 412 },
        headers: handshakeHeaders({ clusterId, id: low.id }, at(1).id),
      },
      {
        ...{ what: "stranger", status: 403 },
        headers: handshakeHeaders({ clusterId, id: MemberId(1n) }, high.id),
      },
      {
        ...{ what: "sender that is the receiver", status: 403 },
        headers: handshakeHeaders({ clusterId, id: high.id }, high.id),
      },
      { what: "version", headers: { ...good, "x-quorlet-protocol": "9000" }, status: 400 },
      { what: "version text", headers: { ...good, "x-quorlet-protocol": "1-" }, status: 400 },
      { what: "lane", headers: { ...good, "x-quorlet-lane": "fast" }, status: 400 },
    ];
    for (const { what, headers, status } of rows) {
      assert.equal(await upgrade(high.url, headers), status, what);
    }
    await allServe("after upgrades");
  });

  test("bad peer: frames that no member would send, under a forged sender", async () => {
    const [low, high] = [at(0), at(2)];
    const good = handshakeHeaders({ clusterId, id: low.id }, high.id);
    const rows: readonly { what: string; frame: Uint8Array }[] = [
      { what: "nothing", frame: Buffer.of() },
      { what: "4 GiB in 6 bytes", frame: frameOf(Buffer.of(), 0xffff_ffff) },
      { what: "2^32 numbers", frame: frameOf(Buffer.of(0xdd, 0xff, 0xff, 0xff, 0xff)) },
      { what: "depth 100,000", frame: frameOf(Buffer.alloc(100_000, 0x91)) },
      { what: "extension 0x70", frame: frameOf(Buffer.of(0x91, 0xd4, 0x70, 0)) },
      { what: "record definition", frame: frameOf(Buffer.of(0xd4, 0x72, 0x40)) },
      { what: "trailing bytes", frame: frameOf(Buffer.concat([packed(10, 1), Buffer.of(7)])) },
      { what: "term 2^53", frame: frameOf(packed(message.heartbeat, 2 ** 53, 0, 0)) },
      {
        what: "a commit past the last index",
        frame: frameOf(packed(message.heartbeat, 1, 1e9, 0)),
      },
      {
        what: "an append with a commit past the last index",
        frame: frameOf(packed(message.append, 1, 0, 0, 1e9, 0, 0)),
      },
      { what: "an unknown lane", frame: Buffer.of(1, 99, 0, 0, 0, 0) },
      { what: "a version of tomorrow", frame: Buffer.of(2, 1, 0, 0, 0, 0) },
      { what: "half a chunk", frame: Buffer.of(1, FrameKind.bulk, 0, 0, 0, 0) },
      { what: "half a lease question", frame: Buffer.of(1, FrameKind.lease, 0, 0, 0, 0) },
      { what: "half a change", frame: Buffer.of(1, FrameKind.membership, 0, 0, 0, 0) },
    ];
    for (const { what, frame } of rows) {
      const socket = await upgrade(high.url, good);
      assert.ok(socket instanceof WebSocket, `${what}: without TLS a forged sender is let in`);
      await new Promise<void>((resolve) => {
        // The pong comes after the frame was taken; or the connection is closed.
        socket.on("pong", () => resolve());
        socket.on("close", () => resolve());
        socket.send(frame);
        socket.ping();
      });
      socket.terminate();
    }
    await allServe("after frames");
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
