// `etcdctl watch` prints the same beside Quorlet and beside a real etcd.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { Etcd, findEtcd, noEtcdReason } from "../support/etcd.ts";
import { type EtcdctlBinary, etcdctl, findEtcdctls, noEtcdctlReason } from "../support/etcdctl.ts";
import { KvClient } from "../support/kvClient.ts";
import { type RunningCluster, Server } from "../support/server.ts";

const binary = findEtcd();
const ctl = findEtcdctls().find(({ version }) => Number(version.split(".")[1]) >= 5);
const skip = binary === undefined ? noEtcdReason : ctl === undefined ? noEtcdctlReason : false;
const waitMsMax = 60_000;

interface Case {
  readonly name: string;
  readonly args: readonly string[];
  /** Typed at the start. */
  readonly input?: string;
  /** Seen before the commands of `writes` run, one after the other. */
  readonly first: RegExp;
  readonly writes: readonly (readonly string[])[];
  /** Seen at the end; undefined: the client ends by itself. */
  readonly last: RegExp | undefined;
}

/** Revisions 2 to 6: foo=1, foo2=1, bar=1, foo=2, foo deleted; compacted at 3 for the last case. */
const cases: readonly Case[] = [
  {
    name: "a prefix from an old revision",
    args: ["watch", "foo", "--prefix", "--rev=2"],
    first: /DELETE\nfoo\n/,
    writes: [
      ["put", "foo3", "live"],
      ["del", "foo", "--prefix"],
      ["put", "bar", "other"],
      ["put", "food", "end"],
    ],
    last: /PUT\nfood\nend\n/,
  },
  {
    name: "a range with previous pairs",
    args: ["watch", "bar", "foo1", "--rev=4", "--prev-kv"],
    first: /DELETE\nfoo\n2\nfoo\n/,
    writes: [["put", "bar", "2"], ["txn"], ["put", "c", "end"]],
    last: /PUT\nc\nend\n/,
  },
  {
    name: "one key, as JSON",
    args: ["watch", "foo", "--rev=2", "-w", "json"],
    first: /"ModRevision":6|"mod_revision":6/,
    writes: [["put", "foo", "end"]],
    last: /ZW5k/,
  },
  {
    name: "progress of an idle watch",
    args: ["watch", "idle", "--progress-notify", "--rev=7"],
    first: /^/,
    writes: [["put", "idle", "1"]],
    last: /PUT\nidle\n1\n(.*\n)*progress notify: 7\n/,
  },
  {
    name: "interactive",
    args: ["watch", "-i"],
    input: "watch foo --rev=2\nbogus\nwatch foo2 --rev=2\n",
    // A refusal, three events of one watch and one of the other, whose lines etcdctl mixes as they come.
    first: /^(\n*[^\n]+\n){12}/,
    writes: [["put", "foo2", "end"]],
    last: /^(\n*[^\n]+\n){15}/,
  },
  {
    name: "a compacted revision",
    args: ["watch", "foo", "--rev=2"],
    first: /^/,
    writes: [],
    last: undefined,
  },
];

class Watching {
  output = "";
  exit: number | null | undefined;
  readonly #child: ChildProcess;
  #waiting: (() => void)[] = [];

  constructor(client: EtcdctlBinary, endpoint: string, { args, input = "" }: Case) {
    this.#child = spawn(client.path, ["--endpoints", endpoint, ...args], {
      env: { ...process.env, ETCDCTL_API: "3" },
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on("data", (bytes: Buffer) => {
        this.output += bytes.toString();
        for (const resolve of this.#waiting.splice(0)) resolve();
      });
    }
    this.#child.on("close", (code) => {
      this.exit = code;
      for (const resolve of this.#waiting.splice(0)) resolve();
    });
    this.#child.stdin?.write(input);
  }

  async see(pattern: RegExp | undefined): Promise<void> {
    const late = AbortSignal.timeout(waitMsMax);
    while (pattern === undefined ? this.exit === undefined : !pattern.test(this.output)) {
      if (late.aborted) throw new Error(`${pattern} never came in:\n${this.output}`);
      const woken = new Promise<void>((resolve) => this.#waiting.push(resolve));
      await Promise.race([woken, once(late, "abort")]);
    }
  }

  async end(): Promise<void> {
    if (this.exit !== undefined) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "close");
  }
}

async function writePast(endpoint: string): Promise<void> {
  const client = new KvClient(endpoint);
  for (const [key, value] of [
    ["foo", "1"],
    ["foo2", "1"],
    ["bar", "1"],
    ["foo", "2"],
  ] as const)
    await client.put(key, value);
  await client.remove("foo");
  client.close();
}

async function run(client: EtcdctlBinary, cluster: RunningCluster, each: Case): Promise<string> {
  const { endpoints } = cluster;
  await writePast(endpoints[0] ?? "");
  const ask = async (args: readonly string[], input = ""): Promise<void> => {
    const answer = await etcdctl({ binary: client, endpoints, args, input });
    assert.equal(answer.code, 0, `${args.join(" ")}: ${answer.stderr}`);
  };
  if (each.last === undefined) await ask(["compact", "4"]);
  const watching = new Watching(client, endpoints[0] ?? "", each);
  try {
    await watching.see(each.first);
    for (const args of each.writes) await ask(args, args[0] === "txn" ? txnInput : "");
    await watching.see(each.last);
    return plain(watching.output, watching.exit);
  } finally {
    await watching.end();
  }
}

const txnInput = "\nput bar 3\nput baz 1\ndel bar2\n\n\n";

/** How often progress is told, ids, terms and the batching of JSON answers are left out. */
function plain(output: string, exit: number | null | undefined): string {
  const lines = output
    .replaceAll(/\{"level".*\n/g, "")
    .split("\n")
    .filter((line) => line !== "");
  const events = lines.flatMap((line) => {
    if (!line.startsWith('{"Header"')) return [line];
    return (JSON.parse(line).Events as unknown[]).map((event) => JSON.stringify(event));
  });
  const told = events.filter((line, i) => !line.startsWith("progress") || line !== events[i - 1]);
  return `${told.join("\n")}\nexit ${exit}`;
}

for (const [i, each] of cases.entries()) {
  test(`etcdctl watch: ${each.name}`, { skip }, async () => {
    assert.ok(binary && ctl);
    await using oracle = await Etcd.start({
      binary,
      flags: ["--unsafe-no-fsync", "--experimental-watch-progress-notify-interval=300ms"],
    });
    await using subject = await Server.start({
      // Whether one member or three: it is the member that is asked which talks to the client.
      members: i === 0 ? 3 : 1,
      flags: ["--watch-progress-notify-interval", "300ms"],
    });
    const [want, got] = await Promise.all([run(ctl, oracle, each), run(ctl, subject, each)]);
    const sorted = (text: string): string => text.split("\n").sort().join("\n");
    // Two watches of one client have no order among them.
    if (each.input !== undefined) assert.equal(sorted(got), sorted(want));
    else assert.equal(got, want);
  });
}
