// Changes of membership through the stock client, beside a real etcd, and processes that come and go.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { suite, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { Etcd, findEtcd, noEtcdReason } from "../support/etcd.ts";
import { type EtcdctlBinary, etcdctl, findEtcdctls, noEtcdctlReason } from "../support/etcdctl.ts";
import { KvClient } from "../support/kvClient.ts";
import { MemberProcesses } from "../support/memberProcesses.ts";

const waitMsMax = 60_000;
const thinkMs = 5;
const newest = findEtcdctls()
  .toSorted((a, b) => a.version.localeCompare(b.version))
  .at(-1);
const isModern = newest !== undefined && newest.version >= "3.5";

interface Said {
  readonly ok: boolean;
  /** Ids and URLs are named by kind: those of two clusters differ. */
  readonly text: string;
}

interface Planned {
  readonly name: string;
  readonly peerUrl: string;
  /** Resolves when it serves. */
  readonly run: () => Promise<unknown>;
}

/** One cluster under the client's hand. */
class Subject {
  readonly #binary: EtcdctlBinary;
  readonly endpoints: readonly string[];
  /** Who may be added, and how it is started then. */
  readonly plan: () => Promise<Planned>;

  constructor(
    binary: EtcdctlBinary,
    endpoints: readonly string[],
    plan: () => Promise<Planned> = () => Promise.reject(new Error("nobody joins")),
  ) {
    this.#binary = binary;
    this.endpoints = endpoints;
    this.plan = plan;
  }

  async say(...args: readonly string[]): Promise<Said> {
    const { code, stdout, stderr } = await etcdctl({
      ...{ binary: this.#binary, endpoints: this.endpoints, args },
    });
    const error = /^Error: (.*)$/m.exec(stderr)?.[1] ?? "";
    return { ok: code === 0, text: anonymous(code === 0 ? stdout : error) };
  }

  /** Says it again while the cluster has not been connected for long enough. */
  async sayWhenHealthy(...args: readonly string[]): Promise<Said> {
    const endMs = performance.now() + waitMsMax;
    for (;;) {
      const said = await this.say(...args);
      if (!/unhealthy cluster/.test(said.text) || performance.now() > endMs) return said;
    }
  }

  async members(): Promise<readonly { id: string; name: string; learner: boolean }[]> {
    const { stdout } = await etcdctl({
      ...{ binary: this.#binary, endpoints: this.endpoints, args: ["member", "list"] },
    });
    return stdout
      .trim()
      .split("\n")
      .map((line) => line.split(", "))
      .map(([id = "", , name = "", , , learner]) => ({ id, name, learner: learner === "true" }));
  }

  /** The endpoint of the leader, its id and another's. */
  async leader(): Promise<{ endpoint: string; id: string; other: string }> {
    const args = ["endpoint", "status", "-w", "simple"];
    const { stdout } = await etcdctl({
      ...{ binary: this.#binary, endpoints: this.endpoints, args },
    });
    const rows = stdout
      .trim()
      .split("\n")
      .map((line) => line.split(", "));
    const found = rows.find((row) => row[4] === "true");
    const other = rows.find((row) => row[4] === "false");
    assert.ok(found && other, stdout);
    return { endpoint: found[0] ?? "", id: found[1] ?? "", other: other[1] ?? "" };
  }
}

const anonymous = (text: string): string =>
  text
    .replace(/(https?|ws):\/\/[\w.]+:\d+/g, "URL")
    // The client pads ids to 16 places.
    .replace(/ +[0-9a-f]{12,16}\b/g, " ID")
    .replace(/\b[0-9a-f]{12,16}\b/g, "ID")
    .replace(/(\w+=URL,?)+/g, "LIST");

/** What the client is told, step by step; the same commands for both clusters. */
async function play(subject: Subject): Promise<Readonly<Record<string, Said>>> {
  const told: Record<string, Said> = {};
  const taken = "http://127.0.0.1:39091";
  const [first] = await subject.members();
  assert.ok(first);
  told["add a bad URL"] = await subject.say("member", "add", "x", "--peer-urls=http://nowhere");
  told["add a path"] = await subject.say("member", "add", "x", "--peer-urls=http://a:1/b");
  told["remove a stranger"] = await subject.say("member", "remove", "abcdef");
  told["update a stranger"] = await subject.say(
    "member",
    "update",
    "abcdef",
    `--peer-urls=${taken}`,
  );
  told["promote a voter"] = await subject.say("member", "promote", first.id);
  const add = ["member", "add", "l1", `--peer-urls=${taken}`];
  told["add a learner"] = await subject.sayWhenHealthy(...add, "--learner");
  // With another beside it: the same URLs within the same second would have the same id.
  told["its URL again"] = await subject.say(
    ...["member", "add", "l1", `--peer-urls=${taken},http://127.0.0.1:39094`],
  );
  told["a second learner"] = await subject.say(
    ...["member", "add", "l2", "--peer-urls=http://127.0.0.1:39092", "--learner"],
  );
  const learner = (await subject.members()).find((member) => member.learner);
  assert.ok(learner);
  told["promote too early"] = await subject.say("member", "promote", learner.id);
  told["move it"] = await subject.say(
    ...["member", "update", learner.id, "--peer-urls=http://127.0.0.1:39093"],
  );
  told["move another to its place"] = await subject.say(
    ...["member", "update", first.id, "--peer-urls=http://127.0.0.1:39093"],
  );
  told["remove it"] = await subject.say("member", "remove", learner.id);
  told["remove it again"] = await subject.say("member", "remove", learner.id);
  await promoteOne(subject, told);
  const leader = await subject.leader();
  told["lead to a stranger"] = await subject.say("move-leader", "abcdef");
  told["lead to itself"] = await subject.say("move-leader", leader.id);
  told["lead to another"] = await subject.say("move-leader", leader.other);
  told["the list"] = await subject.say("member", "list");
  for (const args of [
    ["member", "list"],
    ["endpoint", "status", "--cluster"],
  ]) {
    for (const form of ["table", "json"]) {
      const { ok, text } = await subject.say(...args, "-w", form);
      told[`${args.join(" ")} as ${form}`] = {
        ok,
        text: form === "table" ? cells(text) : shape(text),
      };
    }
  }
  return told;
}

/** A learner that comes, catches up and becomes a voter. */
async function promoteOne(subject: Subject, told: Record<string, Said>): Promise<void> {
  const { name, peerUrl, run } = await subject.plan();
  const add = ["member", "add", name, `--peer-urls=${peerUrl}`, "--learner"];
  told["add one that comes"] = await subject.sayWhenHealthy(...add);
  await run();
  const id = (await subject.members()).find((member) => member.learner)?.id ?? "";
  const endMs = performance.now() + waitMsMax;
  let said = await subject.say("member", "promote", id);
  while (/in sync with leader/.test(said.text) && performance.now() < endMs) {
    said = await subject.say("member", "promote", id);
  }
  told["promote one that caught up"] = said;
  told["promote it again"] = await subject.say("member", "promote", id);
}

/** Heads as they are; of every row what does not depend on the moment, in order of that. */
function cells(table: string): string {
  const rows = table
    .split("\n")
    .filter((line) => /^[|│]/.test(line))
    .map((line) => line.split(/[|│]/).map((cell) => cell.trim().replace(/^m\d$/, "NAME")));
  const [head = [], ...rest] = rows.map((row) =>
    row.map((cell) => cell.replace(/^\d+(\.\d+)?( [kM]?B)?$/, "N")).join(" | "),
  );
  assert.ok(rest.length > 2, table);
  return [head, ...rest.sort()].join("\n");
}

/** Names and kinds of everything; numbers and texts differ from cluster to cluster. */
function shape(json: string): string {
  const texts = new Set<string>();
  const walk = (value: unknown, path: string): void => {
    if (typeof value === "object" && value !== null) {
      for (const [key, inner] of Object.entries(value)) {
        walk(inner, Array.isArray(value) ? `${path}[]` : `${path}.${key}`);
      }
    } else texts.add(`${path}: ${path.endsWith("ersion") ? value : typeof value}`);
  };
  walk(JSON.parse(json), "");
  return [...texts].sort().join("\n");
}

suite("the stock client", { skip: !isModern && noEtcdctlReason }, () => {
  const binary = findEtcd();
  test("is told what a real etcd tells it", { skip: !binary && noEtcdReason }, async () => {
    assert.ok(binary && newest);
    await using etcd = await Etcd.start({ binary, members: 3 });
    await using ours = await MemberProcesses.start(3);
    const endpoints = ours.names.map((name) => ours.member(name).endpoint);
    const [want, got] = await Promise.all([
      play(new Subject(newest, etcd.endpoints, () => etcd.plan())),
      play(
        new Subject(newest, endpoints, async () => {
          const planned = await ours.plan();
          return { ...planned, run: () => ours.run(planned.name) };
        }),
      ),
    ]);
    for (const [step, said] of Object.entries(want)) {
      if (step === "the list") continue;
      assert.ok(!/^(member list|endpoint status)/.test(step) || said.ok, `${step}: ${said.text}`);
      assert.deepEqual(got[step], said, step);
    }
    assert.equal(
      got["the list"]?.text.split("\n").length,
      want["the list"]?.text.split("\n").length,
    );
  });

  test("grows three processes to five and shrinks them, and no acknowledged write is lost", async () => {
    assert.ok(newest);
    await using cluster = await MemberProcesses.start(3);
    const subject = new Subject(newest, [cluster.member("m1").endpoint]);
    const load = new Load(cluster.member("m1").endpoint);
    const idOf = async (name: string): Promise<string> =>
      (await subject.members()).find((member) => member.name === name)?.id ?? "";
    for (let i = 0; i < 2; i++) {
      const { name, peerUrl } = await cluster.plan();
      const said = await subject.sayWhenHealthy("member", "add", name, `--peer-urls=${peerUrl}`);
      assert.ok(said.ok, said.text);
      await cluster.run(name);
    }
    for (const name of ["m2", "m3"]) {
      const said = await subject.sayWhenHealthy("member", "remove", await idOf(name));
      assert.ok(said.ok, said.text);
      const { child } = cluster.member(name);
      await child.line({ pattern: /is no member any more/, timeoutMs: waitMsMax });
    }
    const acked = await load.end();
    assert.ok(acked.size > 0, "it wrote meanwhile");
    const reader = new KvClient(cluster.member("m5").endpoint);
    const found = new Map((await reader.all()).map(({ key, value }) => [key, value]));
    for (const [key, value] of acked) assert.equal(found.get(key), value, key);
    reader.close();
    const names = (await subject.members()).map(({ name }) => name).sort();
    assert.deepEqual(names, ["m1", "m4", "m5"]);
    // One that comes back is told so, by whoever it meets.
    const again = cluster.spawn({ name: "m2", dataDir: cluster.dataDir("m2") });
    await again.line({ pattern: /m2 was removed from the cluster/, timeoutMs: waitMsMax });
  });

  test("a voter that lost its directory does not come back under its old id", async () => {
    await using cluster = await MemberProcesses.start(3);
    // From when it has made its log known, another one is noticed.
    assert.ok(newest);
    const subject = new Subject(newest, [cluster.member("m1").endpoint]);
    const endMs = performance.now() + waitMsMax;
    const isKnown = async (): Promise<boolean> =>
      ((await subject.say("member", "list")).text.match(/URL/g) ?? []).length === 6;
    while (!(await isKnown())) assert.ok(performance.now() < endMs, "all make themselves known");
    await cluster.member("m2").child.kill9();
    rmSync(cluster.dataDir("m2"), { recursive: true });
    const wiped = cluster.spawn({ name: "m2", dataDir: cluster.dataDir("m2") });
    await wiped.line({ pattern: /remove this member from the cluster/, timeoutMs: waitMsMax });
    const client = new KvClient(cluster.member("m1").endpoint);
    await client.put("others", "go on");
    client.close();
  });
});

/** Writes a new key after the other until it is told to end. */
class Load {
  readonly #acked = new Map<string, string>();
  readonly #done: Promise<void>;
  #ending = false;

  constructor(endpoint: string) {
    this.#done = this.#run(endpoint);
  }

  /** @returns what was acknowledged. */
  async end(): Promise<ReadonlyMap<string, string>> {
    this.#ending = true;
    await this.#done;
    return this.#acked;
  }

  async #run(endpoint: string): Promise<void> {
    const client = new KvClient(endpoint);
    for (let i = 0; !this.#ending; i++) {
      const [key, value] = [`load${i}`, `${i}`];
      try {
        await client.put(key, value);
        this.#acked.set(key, value);
      } catch {
        // A change of leaders may cost a write its answer.
      }
      // The processes that come and go need the processor as well.
      await wait(thinkMs);
    }
    client.close();
  }
}
