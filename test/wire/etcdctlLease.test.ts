// `etcdctl lease …` prints the same beside Quorlet and beside a real etcd, in every format.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Etcd, findEtcd, noEtcdReason } from "../support/etcd.ts";
import { type EtcdctlBinary, etcdctl, findEtcdctls, noEtcdctlReason } from "../support/etcdctl.ts";
import { hideIdentity } from "../support/etcdctlScript.ts";
import { type RunningCluster, Server } from "../support/server.ts";

const binary = findEtcd();
const clients = findEtcdctls();

if (clients.length === 0) test("etcdctl lease", { skip: noEtcdctlReason });

/** LEASE stands for the id of the one lease with keys, as etcdctl takes it. */
const steps: readonly (readonly string[])[] = [
  ["put", "k2", "v", "--lease=LEASE"],
  ["put", "k1", "v", "--lease=LEASE"],
  ["put", "k1", "w", "--ignore-lease"],
  ["get", "k", "--prefix", "-w", "fields"],
  ["lease", "list"],
  ["lease", "timetolive", "LEASE"],
  ["lease", "timetolive", "LEASE", "--keys"],
  ["lease", "keep-alive", "--once", "LEASE"],
  ["lease", "keep-alive", "--once", "1234"],
  ["lease", "timetolive", "1234"],
  ["lease", "timetolive", "1234", "--keys"],
  ["lease", "revoke", "1234"],
  ["lease", "keep-alive", "--once", "nonsense"],
  ["lease", "revoke", "LEASE"],
  ["get", "k", "--prefix"],
  ["lease", "revoke", "LEASE"],
  ["lease", "timetolive", "LEASE", "--keys"],
  ["lease", "list"],
  ["lease", "grant", "9000000001"],
  ["lease", "grant", "words"],
  ["lease", "grant"],
];

/** The first steps, which nothing refuses. */
const answeredCount = 8;

/** With their own TTL, and revoked at once: a list shows no lease of another format. */
const grants = ["500", "1", "0", "-3", "9000000000"];

async function run(client: EtcdctlBinary, cluster: RunningCluster): Promise<string> {
  const transcript: string[] = [];
  for (const [i, format] of ["simple", "json", "fields"].entries()) {
    const endpoints = [cluster.endpoints[i % cluster.endpoints.length] ?? ""];
    let lease = "";
    const ask = async (args: readonly string[]): Promise<string> => {
      const filled = args.map((arg) => arg.replace("LEASE", lease));
      const all = args[0] === "lease" ? [...filled, "-w", format] : filled;
      const answer = await etcdctl({ binary: client, endpoints, args: all });
      const text = `$ ${args.join(" ")} -w ${format}\n${answer.stdout}${plainError(answer.stderr)}`;
      transcript.push(`${hide(text, lease)}exit ${answer.code}`);
      return answer.stdout;
    };
    for (const ttl of i === 0 ? grants : []) {
      lease = "none";
      const said = await etcdctl({
        binary: client,
        endpoints,
        args: ["lease", "grant", "--", ttl],
      });
      lease = /lease (\w+)/.exec(said.stdout)?.[1] ?? "none";
      transcript.push(hide(said.stdout, lease));
      await ask(["lease", "revoke", "LEASE"]);
    }
    const granted = await etcdctl({ binary: client, endpoints, args: ["lease", "grant", "500"] });
    lease = /lease (\w+)/.exec(granted.stdout)?.[1] ?? "none";
    // What is refused looks the same in every format.
    for (const step of i === 0 ? steps : steps.slice(0, answeredCount)) await ask(step);
    if (i > 0) await ask(["lease", "revoke", "LEASE"]);
  }
  return transcript.join("\n");
}

/** Retries are the client's own affair; the last line says what it came to. */
function plainError(stderr: string): string {
  return stderr.replaceAll(/^\{"level".*\n/gm, "");
}

function hide(text: string, lease: string): string {
  const decimal = lease === "none" ? "none" : `${BigInt(`0x${lease}`)}`;
  return (
    text
      .replaceAll(lease, "LEASE")
      .replaceAll(decimal, "LEASE")
      .replaceAll(/\b49\d(?=s?\b)/g, "LEFT")
      // etcd lists keys in no order.
      .replaceAll("[k2 k1]", "[k1 k2]")
      .replaceAll('["azI=","azE="]', '["azE=","azI="]')
      .replaceAll('"Key" : "k2"\n"Key" : "k1"', '"Key" : "k1"\n"Key" : "k2"')
      .split("\n")
      .map(hideIdentity)
      .join("\n")
  );
}

const skip = binary === undefined ? noEtcdReason : false;
/** Each client leaves both as it found them, and as alike. */
const kept: { oracle?: Etcd; subject?: Server } = {};
before(async () => {
  if (binary === undefined || clients.length === 0) return;
  kept.oracle = await Etcd.start({ binary, members: 3, flags: ["--unsafe-no-fsync"] });
  kept.subject = await Server.start({ members: 3 });
});
after(async () => {
  await kept.oracle?.[Symbol.asyncDispose]();
  await kept.subject?.stop();
});

for (const client of clients) {
  test(`etcdctl ${client.version} lease: as beside a real etcd`, { skip }, async () => {
    const { oracle, subject } = kept;
    assert.ok(oracle && subject);
    const [want, got] = await Promise.all([run(client, oracle), run(client, subject)]);
    const wanted = want.split("\n$ ");
    for (const [i, section] of got.split("\n$ ").entries()) assert.equal(section, wanted[i]);
    assert.equal(got.length, want.length);
    assert.ok(want.includes("keepalived with TTL(500)"), want);
  });
}
