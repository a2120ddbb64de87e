// What a member's flags say about changes of membership, through processes: learners that become voters by
// themselves, changes that etcd's strict check would refuse, and the last resort when all others are lost.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Child } from "../support/child.ts";
import { etcdctl, findEtcdctls, noEtcdctlReason } from "../support/etcdctl.ts";
import { freePorts } from "../support/memberProcesses.ts";
import { serverEntry } from "../support/paths.ts";

const waitMsMax = 60_000;
const binary = findEtcdctls().at(0);
const names = ["n1", "n2", "n3", "n4"];
const policy = ["--promote-learners", "--strict-reconfig-check=false", "--max-learners", "2"];

test("learners are promoted by themselves, lax changes made, a lone survivor forced to go on", {
  skip: binary === undefined && noEtcdctlReason,
}, async () => {
  assert.ok(binary);
  const folder = mkdtempSync(join(tmpdir(), "quorlet-policy-"));
  const ports = await freePorts(2 * names.length);
  const children = new Map<string, Child>();
  const client = (name: string): string => `127.0.0.1:${ports[names.indexOf(name)]}`;
  const peer = (name: string): string => `http://127.0.0.1:${ports[4 + names.indexOf(name)]}`;
  const start = async (name: string, known: readonly string[], ...more: readonly string[]) => {
    const args = [
      ...["serve", "--name", name, "--data-dir", join(folder, name), ...policy, ...more],
      ...["--listen-client-urls", `http://${client(name)}`],
      ...["--advertise-client-urls", `http://${client(name)}`],
      // The first one cannot be reached: the others try the second.
      ...["--listen-peer-urls", peer(name)],
      ...["--initial-advertise-peer-urls", urlsOf(name).join()],
      "--initial-cluster",
      known.flatMap((one) => urlsOf(one).map((url) => `${one}=${url}`)).join(),
    ];
    const child = new Child({ command: process.execPath, args: [serverEntry, ...args] });
    children.set(name, child);
    await child.line({ pattern: /^ready /, timeoutMs: waitMsMax });
  };
  const urlsOf = (name: string): readonly string[] =>
    name === "n4"
      ? [peer(name)]
      : ["http://127.0.0.1:1".concat(`${names.indexOf(name)}`), peer(name)];
  const say = async (name: string, ...args: readonly string[]): Promise<string> => {
    const endpoints = [client(name)];
    const { code, stdout, stderr } = await etcdctl({ binary, endpoints, args });
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  try {
    const first = names.slice(0, 3);
    await Promise.all(first.map((name) => start(name, first)));
    await say("n1", "put", "kept", "yes");
    await children.get("n3")?.kill9();
    // With one of three down the strict check refuses even a learner.
    await say("n1", "member", "add", "n4", "--learner", `--peer-urls=${peer("n4")}`);
    await start("n4", names, "--initial-cluster-state", "existing");
    const endMs = performance.now() + waitMsMax;
    for (;;) {
      const list = await say("n1", "member", "list");
      if (/started, n4, .*, false$/m.test(list)) break;
      assert.ok(performance.now() < endMs, list);
    }
    for (const name of ["n1", "n2", "n4"]) await children.get(name)?.kill9();
    await start("n1", names.slice(0, 3), "--force-new-cluster");
    const output = children.get("n1")?.output ?? "";
    assert.match(output, /^Goes on alone: all other members are removed\.$/m);
    assert.doesNotMatch(output, /must run/);
    assert.equal(await say("n1", "get", "kept"), "kept\nyes\n");
    const left = (await say("n1", "member", "list")).trim().split("\n");
    assert.equal(left.length, 1);
    assert.match(left[0] ?? "", /started, n1/);
    await say("n1", "put", "more", "yes");
  } finally {
    await Promise.all([...children.values()].map((child) => child.kill9()));
    rmSync(folder, { recursive: true, force: true });
  }
});
