// Members from DNS, asked of a name server of our own over UDP.
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { once } from "node:events";
import { test } from "node:test";
import { discoverMembers } from "../../src/cluster/srvDiscovery.ts";
import { StartError } from "../../src/cluster/startError.ts";

interface Srv {
  readonly host: string;
  readonly port: number;
}

/** Answers SRV questions from a table, everything else with "no such name". */
async function nameServer(table: Readonly<Record<string, readonly Srv[]>>) {
  const socket = createSocket("udp4");
  socket.on("message", (question, from) => {
    const { name, end } = readName(question);
    const records = table[name] ?? [];
    const head = Buffer.alloc(12);
    question.copy(head, 0, 0, 2);
    head.writeUInt16BE(records.length > 0 ? 0x8180 : 0x8183, 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(records.length, 6);
    const asked = question.subarray(12, end + 4);
    socket.send(Buffer.concat([head, asked, ...records.map(srvAnswer)]), from.port, from.address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const resolver = new Resolver({ timeout: 2000, tries: 1 });
  resolver.setServers([`127.0.0.1:${socket.address().port}`]);
  return { socket, resolver };
}

function readName(message: Buffer): { readonly name: string; readonly end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
    labels.push(message.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join("."), end: at + 1 };
}

function srvAnswer({ host, port }: Srv): Buffer {
  const labels = host.split(".").map((label) => Buffer.from(`\0${label}`, "latin1"));
  for (const label of labels) label[0] = label.length - 1;
  const target = Buffer.concat([...labels, Buffer.alloc(1)]);
  const head = Buffer.from([
    0xc0,
    0x0c,
    0,
    33,
    0,
    1,
    0,
    0,
    0,
    60,
    0,
    6 + target.length,
    0,
    0,
    0,
    0,
    0,
    0,
  ]);
  head.writeUInt16BE(port, 16);
  return Buffer.concat([head, target]);
}

const hosts: Readonly<Record<string, string>> = { "a.test": "10.0.0.1", "me.test": "10.0.0.2" };

async function discover(
  table: Readonly<Record<string, readonly Srv[]>>,
  question: { readonly peerUrls: readonly string[]; readonly serviceName?: string },
) {
  const { socket, resolver } = await nameServer(table);
  try {
    return await discoverMembers(
      {
        domain: "example.test",
        serviceName: question.serviceName ?? "",
        self: { name: "me", peerUrls: question.peerUrls },
      },
      {
        resolveSrv: (name) => resolver.resolveSrv(name),
        addresses: async (host) => [hosts[host] ?? host],
      },
    );
  } finally {
    socket.close();
  }
}

const plain = [
  { host: "a.test", port: 2380 },
  { host: "b.test", port: 2380 },
];

test("records become members; the one with our address has our name", async () => {
  const table = { "_etcd-server._tcp.example.test": plain };
  for (const own of ["http://b.test:2380", "http://a.test:2380", "http://10.0.0.1:2380"]) {
    const members = await discover(table, { peerUrls: [own] });
    const names = own.includes("b.test") ? ["0", "me"] : ["me", "1"];
    assert.deepEqual(
      members.toSorted((x, y) => (x.peerUrls[0] ?? "").localeCompare(y.peerUrls[0] ?? "")),
      [
        { name: names[0], peerUrls: ["http://a.test:2380"] },
        { name: names[1], peerUrls: ["http://b.test:2380"] },
      ],
      own,
    );
  }
});

test("records with TLS come first and have https URLs; a suffix names other services", async () => {
  const table = {
    "_etcd-server-ssl-blue._tcp.example.test": [{ host: "me.test", port: 1 }],
    "_etcd-server-blue._tcp.example.test": [{ host: "a.test", port: 2 }],
  };
  assert.deepEqual(
    await discover(table, { peerUrls: ["https://me.test:1"], serviceName: "blue" }),
    [
      { name: "me", peerUrls: ["https://me.test:1"] },
      { name: "1", peerUrls: ["http://a.test:2"] },
    ],
  );
});

test("no records, or none of ours, is one line", async () => {
  await assert.rejects(discover({}, { peerUrls: ["http://a.test:1"] }), (error) => {
    assert.ok(error instanceof StartError);
    assert.match(error.message, /^no member in DNS: .*_etcd-server-ssl\._tcp\.example\.test/);
    return true;
  });
  await assert.rejects(
    discover({ "_etcd-server._tcp.example.test": plain }, { peerUrls: ["http://c.test:2380"] }),
    /DNS of example\.test does not name http:\/\/c\.test:2380/,
  );
});
