// Locks and elections over gRPC: the same asked of Quorlet and of a real etcd.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Client, credentials } from "@grpc/grpc-js";
import { Etcd, findEtcd, noEtcdReason } from "../support/etcd.ts";
import { decodeMessage, encodeMessage } from "../support/messages.ts";
import { type RunningCluster, Server } from "../support/server.ts";
import { WireClient } from "../support/wireClient.ts";

const binary = findEtcd();
const skip = binary ? false : noEtcdReason;
const lock = (verb: string): readonly [string, string, string] => [
  `/v3lockpb.Lock/${verb}`,
  `v3lockpb.${verb}Request`,
  `v3lockpb.${verb}Response`,
];
const election = (verb: string): readonly [string, string, string] => [
  `/v3electionpb.Election/${verb}`,
  `v3electionpb.${verb}Request`,
  `v3electionpb.${verb}Response`,
];
const grant = [
  "/etcdserverpb.Lease/LeaseGrant",
  "LeaseGrantRequest",
  "LeaseGrantResponse",
] as const;
const revoke = [
  "/etcdserverpb.Lease/LeaseRevoke",
  "LeaseRevokeRequest",
  "LeaseRevokeResponse",
] as const;
const range = ["/etcdserverpb.KV/Range", "RangeRequest", "RangeResponse"] as const;
const name = Buffer.from("line");
const all = { key: name, range_end: Buffer.from("linf") };

type Method = readonly [path: string, request: string, response: string];

async function ask(
  client: WireClient,
  [path, request, response]: Method,
  fields: object,
): Promise<string> {
  const answer = await client.call(path, encodeMessage(request, fields));
  if (answer.kind === "error") return `${answer.code} ${answer.text}`;
  const { header, ...rest } = decodeMessage(response, answer.message);
  const { revision } = header as { readonly revision?: string };
  return `@${revision} ${JSON.stringify(rest, bytesAsText)}`;
}

function bytesAsText(_key: string, value: unknown): unknown {
  const isBuffer = typeof value === "object" && value !== null && "data" in value;
  return isBuffer ? Buffer.from(value.data as number[]).toString() : value;
}

/** Until so many keys stand in the line: whoever wanted to is waiting. */
async function stand(client: WireClient, count: number): Promise<void> {
  for (;;) {
    const answer = await ask(client, range, { ...all, count_only: true });
    if (answer.includes(`"count":"${count}"`)) return;
  }
}

/** What a script of locks and elections is answered. */
async function play(cluster: RunningCluster): Promise<readonly string[]> {
  const clients = cluster.endpoints.map((endpoint) => new WireClient(endpoint));
  const [first] = clients;
  const last = clients.at(-1);
  assert.ok(first !== undefined && last !== undefined);
  const said: string[] = [];
  const tell = async (answer: Promise<string>): Promise<void> => void said.push(await answer);
  for (const ID of [16, 32, 48, -5]) await tell(ask(first, grant, { ID, TTL: 500 }));
  const missing = { name, lease: 999, value: Buffer.from("v") };
  await tell(ask(first, lock("Lock"), missing));
  await tell(ask(first, election("Campaign"), missing));
  await tell(ask(first, lock("Unlock"), {}));
  await tell(ask(first, lock("Unlock"), { key: Buffer.from("none") }));
  await tell(ask(first, ["/v3electionpb.Election/Leader", "v3electionpb.LeaderRequest", ""], all));
  for (const verb of ["Proclaim", "Resign"]) await tell(ask(first, election(verb), {}));

  await tell(ask(first, lock("Lock"), { name, lease: 16 }));
  await tell(ask(last, lock("Lock"), { name, lease: 16 }));
  const second = ask(last, lock("Lock"), { name, lease: 32 });
  await stand(first, 2);
  const third = ask(first, lock("Lock"), { name, lease: -5 });
  await stand(first, 3);
  await tell(ask(first, lock("Unlock"), { key: Buffer.from("line/10") }));
  await tell(second);
  // trap: the lease of one who waits ends; see below for what it is told.
  await tell(ask(first, revoke, { ID: -5 }));
  await tell(ask(first, lock("Unlock"), { key: Buffer.from("line/20") }));
  await tell(third);

  const value = Buffer.from("one");
  await tell(ask(first, election("Campaign"), { name, lease: 16, value }));
  await tell(ask(last, election("Campaign"), { name, lease: 16, value: Buffer.from("other") }));
  const leader = election("Leader");
  await tell(ask(last, [leader[0], leader[1], leader[2]], { name }));
  const next = ask(last, election("Campaign"), { name, lease: 32, value });
  await stand(first, 2);
  const key = { name, key: Buffer.from("line/10"), lease: 16, rev: 1 };
  await tell(ask(first, election("Proclaim"), { leader: key, value }));
  await tell(ask(first, election("Resign"), { leader: key }));
  await tell(ask(first, lock("Unlock"), { key: Buffer.from("line/10") }));
  await tell(next);
  await tell(ask(first, range, all));
  for (const client of clients) client.close();
  return said;
}

test("locks and elections are answered as by a real etcd", { skip }, async () => {
  assert.ok(binary);
  await using oracle = await Etcd.start({ binary, flags: ["--unsafe-no-fsync"] });
  await using subject = await Server.start({ members: 3 });
  const [wanted, got] = [await play(oracle), await play(subject)];
  assert.deepEqual(got, wanted);
});

test("trap: a lock is not given to one whose lease has expired (#11456)", async () => {
  await using subject = await Server.start({ members: 1 });
  const client = new WireClient(subject.endpoints[0] ?? "");
  for (const ID of [1, 2]) await ask(client, grant, { ID, TTL: 500 });
  await ask(client, lock("Lock"), { name, lease: 1 });
  const waiting = ask(client, lock("Lock"), { name, lease: 2 });
  await stand(client, 2);
  await ask(client, revoke, { ID: 2 });
  await ask(client, revoke, { ID: 1 });
  assert.equal(await waiting, "2 mutex: session is expired");
  client.close();
});

test("a thousand calls that are cancelled leave the line, and the lock goes on", async () => {
  await using subject = await Server.start({ members: 1 });
  const endpoint = subject.endpoints[0] ?? "";
  const client = new WireClient(endpoint);
  await ask(client, grant, { ID: 1, TTL: 500 });
  await ask(client, lock("Lock"), { name, lease: 1 });
  const channel = new Client(endpoint, credentials.createInsecure());
  const [path, request] = lock("Lock");
  const same = (bytes: Buffer): Buffer => bytes;
  const calls = Array.from({ length: 1000 }, () => {
    const body = Buffer.from(encodeMessage(request, { name }));
    return channel.makeUnaryRequest(path, same, same, body, () => {});
  });
  await stand(client, 1001);
  for (const call of calls) call.cancel();
  await stand(client, 1);
  channel.close();
  client.close();
});

/** Observe as text, until closed. */
class Observer {
  readonly heard: string[] = [];
  readonly #client: Client;
  readonly #stream: ReturnType<Client["makeServerStreamRequest"]>;
  #wake: () => void = () => {};

  constructor(endpoint: string) {
    this.#client = new Client(endpoint, credentials.createInsecure());
    const same = (bytes: Buffer): Buffer => bytes;
    const body = Buffer.from(encodeMessage("v3electionpb.LeaderRequest", { name }));
    this.#stream = this.#client.makeServerStreamRequest(
      "/v3electionpb.Election/Observe",
      same,
      same,
      body,
    );
    this.#stream.on("error", () => {});
    this.#stream.on("data", (bytes: Buffer) => {
      const { kv } = decodeMessage("v3electionpb.LeaderResponse", bytes);
      this.heard.push(JSON.stringify(kv, bytesAsText));
      this.#wake();
    });
  }

  async count(wanted: number): Promise<void> {
    while (this.heard.length < wanted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  close(): void {
    this.#stream.cancel();
    this.#client.close();
  }
}

async function observe(cluster: RunningCluster): Promise<readonly string[]> {
  const client = new WireClient(cluster.endpoints[0] ?? "");
  const observer = new Observer(cluster.endpoints.at(-1) ?? "");
  const value = Buffer.from("a");
  for (const ID of [1, 2]) await ask(client, grant, { ID, TTL: 500 });
  const won = await client.call(
    "/v3electionpb.Election/Campaign",
    encodeMessage("v3electionpb.CampaignRequest", { name, lease: 1, value }),
  );
  assert.ok(won.kind === "ok");
  const { leader } = decodeMessage("v3electionpb.CampaignResponse", won.message);
  assert.ok(typeof leader === "object" && leader !== null);
  await observer.count(1);
  await ask(client, election("Proclaim"), { leader, value: Buffer.from("b") });
  await observer.count(2);
  const next = ask(client, election("Campaign"), { name, lease: 2, value: Buffer.from("c") });
  await stand(client, 2);
  await ask(client, election("Resign"), { leader });
  await next;
  await observer.count(3);
  await ask(client, revoke, { ID: 2 });
  await ask(client, election("Campaign"), { name, lease: 1, value: Buffer.from("d") });
  await observer.count(4);
  observer.close();
  client.close();
  return observer.heard;
}

test("an observer hears the leaders that one of a real etcd hears", { skip }, async () => {
  assert.ok(binary);
  await using oracle = await Etcd.start({ binary, flags: ["--unsafe-no-fsync"] });
  await using subject = await Server.start({ members: 3 });
  const [wanted, got] = [await observe(oracle), await observe(subject)];
  assert.equal(wanted.length, 4);
  assert.deepEqual(got, wanted);
});
