// Changes of membership through the stock client: processes that come and go under load.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { type EtcdctlBinary, etcdctl, findEtcdctls, noEtcdctlReason } from "../support/etcdctl.ts";
import { KvClient } from "../support/kvClient.ts";
import { MemberProcesses } from "../support/memberProcesses.ts";

const waitMsMax = 60_000;
const newest = findEtcdctls()
  .toSorted((a, b) => a.version.localeCompare(b.version))
  .at(-1);
const isModern = newest !== undefined && newest.version >= "3.5";

interface Said {
  readonly ok: boolean;
  /** Ids and URLs are named by kind: those of two clusters differ. */
  readonly text: string;
}

/** One cluster under the client's hand. */
class Subject {
  readonly #binary: EtcdctlBinary;
  endpoints: readonly string[];

  constructor(binary: EtcdctlBinary, endpoints: readonly string[]) {
    this.#binary = binary;
    this.endpoints = endpoints;
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
}

const anonymous = (text: string): string =>
  text
    .replace(/(https?|ws):\/\/[\w.]+:\d+/g, "URL")
    // The client pads ids to 16 places.
    .replace(/ +[0-9a-f]{12,16}\b/g, " ID")
    .replace(/\b[0-9a-f]{12,16}\b/g, "ID")
    .replace(/(\w+=URL,?)+/g, "LIST");

suite("the stock client", { skip: !isModern && noEtcdctlReason }, () => {
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
    }
    client.close();
  }
}
