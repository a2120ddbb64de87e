// `etcdctl lock` and `etcdctl elect` stand in one line with callers of the Lock and Election services, in
// both orders: beside Quorlet as beside a real etcd.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Child } from "../support/child.ts";
import { Etcd, findEtcd, noEtcdReason } from "../support/etcd.ts";
import { type EtcdctlBinary, findEtcdctls, noEtcdctlReason } from "../support/etcdctl.ts";
import { decodeMessage, encodeMessage } from "../support/messages.ts";
import { type RunningCluster, Server } from "../support/server.ts";
import { WireClient } from "../support/wireClient.ts";

const binary = findEtcd();
const clients = findEtcdctls();
const lineMsMax = 30_000;

if (clients.length === 0) test("etcdctl lock and elect", { skip: noEtcdctlReason });

const packages = { Lock: "v3lockpb", Unlock: "v3lockpb", Campaign: "v3electionpb" } as const;
const services = { ...packages, Lock: "Lock", Unlock: "Lock", Campaign: "Election" } as const;
type Verb = keyof typeof packages;

class Line {
  readonly #wire: WireClient;
  readonly #etcdctl: EtcdctlBinary;
  readonly #cluster: RunningCluster;
  readonly #name: string;
  readonly told: string[] = [];

  constructor(parts: { etcdctl: EtcdctlBinary; cluster: RunningCluster; name: string }) {
    this.#etcdctl = parts.etcdctl;
    this.#cluster = parts.cluster;
    this.#name = parts.name;
    // The service and etcdctl are asked of different members, where there are some.
    this.#wire = new WireClient(parts.cluster.endpoints.at(-1) ?? "");
  }

  tell(what: string): void {
    this.told.push(what.replaceAll(new RegExp(`${this.#name}/[0-9a-f]+`, "g"), "PLACE"));
  }

  spawn(...args: readonly string[]): Child {
    const [verb = "", ...rest] = args;
    return new Child({
      command: this.#etcdctl.path,
      args: ["--endpoints", this.#cluster.endpoints[0] ?? "", verb, this.#name, ...rest],
      env: { ETCDCTL_API: "3" },
    });
  }

  /** Resolves once it is printed by `child`. */
  async hear(child: Child, pattern: RegExp): Promise<void> {
    const [line] = await child.line({ pattern, timeoutMs: lineMsMax });
    this.tell(`etcdctl says ${line}`);
  }

  async ask(verb: Verb, fields: object): Promise<string> {
    const type = (kind: string): string => `${packages[verb]}.${verb}${kind}`;
    const path = `/${packages[verb]}.${services[verb]}/${verb}`;
    const answer = await this.#wire.call(path, encodeMessage(type("Request"), fields));
    if (answer.kind === "error") return `${verb}: ${answer.code} ${answer.text}`;
    const { key, leader } = decodeMessage(type("Response"), answer.message);
    return `${verb} gives ${key ?? JSON.stringify(leader === undefined)}`;
  }

  /** Until so many stand in line. */
  async stand(count: number): Promise<void> {
    const range = { key: Buffer.from(`${this.#name}/`), range_end: Buffer.from(`${this.#name}0`) };
    const message = encodeMessage("RangeRequest", { ...range, count_only: true });
    for (const endMs = performance.now() + lineMsMax; ; ) {
      const answer = await this.#wire.call("/etcdserverpb.KV/Range", message);
      assert.ok(answer.kind === "ok", JSON.stringify(answer));
      const found = Number(decodeMessage("RangeResponse", answer.message).count ?? 0);
      if (found === count) return;
      assert.ok(performance.now() < endMs, `${found} stand in line, not ${count}: ${this.told}`);
    }
  }

  async grant(ID: number): Promise<void> {
    const message = encodeMessage("LeaseGrantRequest", { ID, TTL: 500 });
    const answer = await this.#wire.call("/etcdserverpb.Lease/LeaseGrant", message);
    assert.equal(answer.kind, "ok");
  }

  close(): void {
    this.#wire.close();
  }
}

async function locks(line: Line, name: string, lease: number): Promise<void> {
  const key = Buffer.from(`${name}/${lease.toString(16)}`);
  const fields = { name: Buffer.from(name), lease };
  await line.grant(lease);
  const holder = line.spawn("lock");
  await line.hear(holder, new RegExp(`^${name}/[0-9a-f]+$`));
  const waiting = line.ask("Lock", fields);
  await line.stand(2);
  await holder.stop();
  line.tell(await waiting);
  // Now the other way round: etcdctl waits, and runs a command once it has the lock.
  const runner = line.spawn("lock", "echo", "inside");
  await line.stand(2);
  assert.ok(!runner.output.includes("inside"), runner.output);
  line.tell(await line.ask("Unlock", { key }));
  await line.hear(runner, /^inside$/);
  line.tell(await runner.ended({ timeoutMs: lineMsMax }));
  await line.stand(0);
}

async function elections(line: Line, name: string, lease: number): Promise<void> {
  const key = Buffer.from(`${name}/${lease.toString(16)}`);
  const fields = { name: Buffer.from(name), lease, value: Buffer.from("service") };
  await line.grant(lease);
  const leader = line.spawn("elect", "tool");
  await line.hear(leader, /^tool$/);
  const waiting = line.ask("Campaign", fields);
  await line.stand(2);
  await leader.stop();
  line.tell(await waiting);
  const candidate = line.spawn("elect", "again");
  await line.stand(2);
  assert.ok(!candidate.output.includes("again"), candidate.output);
  line.tell(await line.ask("Unlock", { key }));
  await line.hear(candidate, /^again$/);
  await candidate.stop();
  await line.stand(0);
}

async function play(etcdctl: EtcdctlBinary, cluster: RunningCluster): Promise<readonly string[]> {
  const told: string[] = [];
  for (const [i, [name, script]] of [
    ["lock", locks] as const,
    ["boss", elections] as const,
  ].entries()) {
    const line = new Line({ etcdctl, cluster, name: `${name}${etcdctl.version}` });
    await script(line, `${name}${etcdctl.version}`, 100 + 16 * i + Number(etcdctl.version.at(-1)));
    told.push(...line.told);
    line.close();
  }
  return told;
}

test("etcdctl and callers of the services wait for one another", {
  skip: clients.length === 0 && noEtcdctlReason,
}, async (t) => {
  await using subject = await Server.start({ members: 3 });
  const got: (readonly string[])[] = [];
  for (const client of clients) got.push(await play(client, subject));
  for (const told of got) assert.equal(told.length, 9, told.join("\n"));
  if (binary === undefined) {
    t.diagnostic(noEtcdReason);
    return;
  }
  await using oracle = await Etcd.start({ binary, flags: ["--unsafe-no-fsync"] });
  for (const [i, client] of clients.entries()) assert.deepEqual(got[i], await play(client, oracle));
});
