// Command line → settings of one member: defaults, and one line for every mistake.
import assert from "node:assert/strict";
import { test } from "node:test";
import { addressText, parseAddress } from "../../src/cluster/address.ts";
import { command, type DevConfig, type MemberProcessConfig } from "../../src/config/command.ts";

const three = "m1=ws://a:1,m2=ws://[::1]:2,m3=ws://c.example:3";
const needed = ["--name", "m2", "--data-dir", "d", "--initial-cluster", three];

/** @returns the settings, or the one line that a user would see. */
async function member(args: readonly string[]): Promise<MemberProcessConfig | string> {
  let config: MemberProcessConfig | undefined;
  let printed = "";
  const program = command({
    dev: async () => assert.fail("not this command"),
    serve: async () => assert.fail("not this command"),
    bench: async () => assert.fail("not this command"),
    member: async (settings) => {
      config = settings;
    },
  });
  for (const each of [program, ...program.commands]) {
    each.exitOverride().configureOutput({
      writeErr: (text) => {
        printed += text;
      },
    });
  }
  try {
    await program.parseAsync(["member", ...args], { from: "user" });
  } catch (error) {
    assert.ok(error instanceof Error);
    return printed === "" ? `${error.message}\n` : printed;
  }
  assert.ok(config);
  return config;
}

test("a member needs its name, directory and cluster; the rest has defaults", async () => {
  assert.deepEqual(await member(needed), {
    name: "m2",
    dataDir: "d",
    initialCluster: [
      { name: "m1", peerUrl: "ws://a:1" },
      { name: "m2", peerUrl: "ws://[::1]:2" },
      { name: "m3", peerUrl: "ws://c.example:3" },
    ],
    initialState: "new",
    token: "quorlet-cluster",
    listenPeer: { host: "::1", port: 2 },
    listenClient: { host: "127.0.0.1", port: 2379 },
    advertiseClientUrl: undefined,
    watchProgressMs: 600_000,
    logLevel: "warn",
  });
});

test("the interval of progress messages is one of etcd's durations", async () => {
  const flag = "--watch-progress-notify-interval";
  for (const [text, ms] of [
    ["100ms", 100],
    ["2s", 2000],
    ["1h", 3_600_000],
  ] as const) {
    const told = await member([...needed, flag, text]);
    assert.ok(typeof told === "object", `${text} is taken`);
    assert.equal(told.watchProgressMs, ms);
  }
  for (const text of ["", "99ms", "0s", "10", "-1s", "1.5s", "9999999999s", "5d"]) {
    assert.match(String(await member([...needed, flag, text])), /must be a time from 100ms/, text);
  }
});

test("what a member is told goes before the defaults", async () => {
  const told = await member([
    ...[...needed, "--listen-peer", "0.0.0.0:7", "--listen-client", "0.0.0.0:8"],
    ...["--advertise-client-url", "http://b:9", "--initial-cluster-token", "t"],
  ]);
  assert.ok(typeof told === "object");
  assert.deepEqual(told.listenPeer, { host: "0.0.0.0", port: 7 });
  assert.deepEqual(told.listenClient, { host: "0.0.0.0", port: 8 });
  assert.equal(told.advertiseClientUrl, "http://b:9");
  assert.equal(told.token, "t");
});

test("a mistake is one line that names it", async () => {
  const cluster = (list: string) => [...needed.slice(0, 4), "--initial-cluster", list];
  const many = Array.from({ length: 10 }, (_, i) => `m${i}=ws://h:${i + 1}`).join(",");
  const rows = [
    { args: needed.slice(0, 4), want: /'--initial-cluster <list>' not specified/ },
    { args: needed.slice(2), want: /'--name <name>' not specified/ },
    { args: cluster("m1=ws://a:1"), want: /^--initial-cluster does not name m2\n$/ },
    { args: cluster("ws://a:1"), want: /comma list of name=ws/ },
    { args: cluster(""), want: /comma list of name=ws/ },
    { args: cluster("m2=http://a:1"), want: /http:\/\/a:1 must be ws:\/\/host:port/ },
    { args: cluster("m2=ws://a"), want: /ws:\/\/a must be/ },
    { args: cluster("m2=ws://a:0"), want: /ws:\/\/a:0 must be/ },
    { args: cluster("m2=ws://a:1/x"), want: /must be ws:\/\/host:port/ },
    { args: cluster("m2="), want: /A peer URL must be/ },
    { args: cluster("m2=ws://a:1,m2=ws://a:2"), want: /repeats a name/ },
    { args: cluster("m2=ws://a:1,m3=ws://a:1"), want: /repeats a URL/ },
    { args: cluster(many), want: /at most/ },
    { args: [...needed, "--listen-peer", "a"], want: /must be host:port/ },
    { args: [...needed, "--listen-peer", "a:0"], want: /must be host:port/ },
    { args: [...needed, "--listen-client", "a:65536"], want: /must be host:port/ },
    { args: [...needed, "--advertise-client-url", "ws://a:1"], want: /must be http:\/\/host:port/ },
    { args: [...needed, "--listen-client", "0.0.0.0:1"], want: /say --advertise-client-url\n$/ },
    { args: [...needed, "--listen-client", "[::]:1"], want: /say --advertise-client-url\n$/ },
  ];
  for (const { args, want } of rows) {
    const said = await member(args);
    assert.ok(typeof said === "string", `taken: ${args.join(" ")}`);
    assert.match(said, want);
    assert.match(said, /^[^\n]+\n$/, "one line");
  }
});

test("addresses are read and written as in URLs", () => {
  const rows = [
    { text: "127.0.0.1:0", want: { host: "127.0.0.1", port: 0 } },
    { text: "node-1.example:65535", want: { host: "node-1.example", port: 65_535 } },
    { text: "[fe80::1]:80", want: { host: "fe80::1", port: 80 } },
    { text: "fe80::1:80", want: undefined },
    { text: "a:", want: undefined },
    { text: ":1", want: undefined },
    { text: "a b:1", want: undefined },
  ];
  for (const { text, want } of rows) {
    assert.deepEqual(parseAddress(text), want, text);
    if (want !== undefined) assert.equal(addressText(want), text);
  }
});

test("what dev is told goes before the defaults", async () => {
  const dev = async (...args: string[]): Promise<DevConfig> => {
    let config: DevConfig | undefined;
    const refuse = async (): Promise<void> => assert.fail("not this command");
    const program = command({
      ...{ serve: refuse, bench: refuse, member: refuse },
      dev: async (settings) => {
        config = settings;
      },
    });
    await program.parseAsync(["dev", ...args], { from: "user" });
    assert.ok(config);
    return config;
  };
  const plain = await dev();
  assert.deepEqual(
    [plain.members, plain.leaseReads, plain.clientPorts],
    [3, false, [2379, 22379, 32379]],
  );
  const told = await dev("--lease-reads", "--memory", "--members", "1", "--client-ports", "7001");
  const { members, leaseReads, dataDir, clientPorts } = told;
  assert.deepEqual(
    { members, leaseReads, dataDir, clientPorts },
    {
      ...{ members: 1, leaseReads: true, dataDir: undefined, clientPorts: [7001] },
    },
  );
});
