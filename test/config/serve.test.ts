// Settings of `quorlet serve`: etcd's flags, variables and file, and one line for every mistake.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigError } from "../../src/config/configError.ts";
import { etcdFlags, nearestFlag } from "../../src/config/etcdFlags.ts";
import { type ServeConfig, serveConfig } from "../../src/config/serve.ts";
import { parseDuration } from "../../src/config/settings.ts";

interface Given {
  readonly args?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly file?: string;
}

function config({ args = [], environment = {}, file }: Given): ServeConfig {
  const readFile = (path: string): string => {
    if (file === undefined) throw new Error(`ENOENT: no such file, open '${path}'`);
    return file;
  };
  return serveConfig({ args, environment, readFile });
}

function refusal(given: Given): { readonly message: string; readonly exitCode: number } {
  try {
    config(given);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return { message: error.message, exitCode: error.exitCode };
  }
  return assert.fail("no refusal");
}

/** As a usual docker-compose file has it, but for the binary's name. */
const compose = [
  ...["--name", "n2", "--advertise-client-urls", "http://n2:2379"],
  ...["--listen-client-urls", "http://0.0.0.0:2379"],
  ...["--initial-advertise-peer-urls", "http://n2:2380", "--listen-peer-urls"],
  ...["http://0.0.0.0:2380", "--initial-cluster-token", "t", "--initial-cluster"],
  ...["n1=http://n1:2380,n2=http://n2:2380,n3=http://n3:2380", "--initial-cluster-state", "new"],
];

const texts = (urls: readonly { readonly text: string }[]): readonly string[] =>
  urls.map(({ text }) => text);

test("without any flag it is etcd's single member", () => {
  const found = config({});
  assert.equal(found.name, "default");
  assert.equal(found.dataDir, "default.etcd");
  assert.deepEqual(found.clients, {
    listen: { host: "localhost", port: 2379 },
    urls: ["http://localhost:2379"],
    door: { main: { secure: false, serves: "all" }, more: [] },
  });
  assert.deepEqual(found.advertiseClientUrls, ["http://localhost:2379"]);
  assert.deepEqual(
    found.initialCluster.map(({ name, peerUrls }) => [name, texts(peerUrls)]),
    [["default", ["http://localhost:2380"]]],
  );
  assert.deepEqual(found.timing, { tickMs: 100, electionTicks: 10, heartbeatTicks: 1 });
  assert.equal(found.initialState, "new");
  assert.deepEqual(found.warnings, []);
});

test("the command line of a compose file, with two dashes, one, or an equals sign", () => {
  const single = compose.map((arg) => arg.replace(/^--/, "-"));
  const joined = compose.flatMap((arg, i) => (i % 2 === 0 ? [`${arg}=${compose[i + 1]}`] : []));
  for (const args of [compose, single, joined]) {
    const found = config({ args });
    assert.equal(found.name, "n2");
    assert.equal(found.token, "t");
    assert.deepEqual(texts(found.listenPeers), ["http://0.0.0.0:2380"]);
    assert.deepEqual(found.advertiseClientUrls, ["http://n2:2379"]);
    assert.deepEqual(
      found.initialCluster.map(({ name }) => name),
      ["n1", "n2", "n3"],
    );
  }
});

test("the command line wins over variables, variables over defaults", () => {
  const environment = { ETCD_NAME: "env", ETCD_HEARTBEAT_INTERVAL: "50", PATH: "/bin" };
  const found = config({ args: ["--name=line"], environment });
  assert.equal(found.name, "line");
  assert.equal(found.timing.tickMs, 50);
  assert.deepEqual(found.warnings, ["--name shadows the variable ETCD_NAME"]);
});

test("a file stands alone; its durations are nanoseconds, its keys the flags", () => {
  const file = [
    "name: m1",
    "heartbeat-interval: 20",
    "experimental-watch-progress-notify-interval: 2000000000",
    "listen-client-urls: http://127.0.0.1:1",
    "advertise-client-urls: http://127.0.0.1:1",
  ].join("\n");
  const args = ["--config-file", "f.yaml", "--name", "other"];
  const found = config({ args, environment: { ETCD_NAME: "env" }, file });
  assert.equal(found.name, "m1");
  assert.equal(found.timing.tickMs, 20);
  assert.equal(found.watchProgressMs, 2000);
  assert.deepEqual(found.warnings, ["with --config-file all other flags are passed over"]);
});

test("reads by lease are asked for, never a default", () => {
  assert.equal(config({ args: [] }).leaseReads, false);
  assert.equal(config({ args: ["--lease-reads"] }).leaseReads, true);
  assert.equal(config({ args: [], environment: { ETCD_LEASE_READS: "true" } }).leaseReads, true);
});

test("a name with several URLs is one member", () => {
  const found = config({
    args: [
      ...["--name", "a", "--initial-cluster", "a=http://x:1,b=http://y:1,a=http://x:2"],
      ...["--initial-advertise-peer-urls", "http://x:2,http://x:1"],
    ],
  });
  assert.deepEqual(
    found.initialCluster.map(({ name, peerUrls }) => [name, texts(peerUrls)]),
    [
      ["a", ["http://x:1", "http://x:2"]],
      ["b", ["http://y:1"]],
    ],
  );
});

test("flags without a meaning here are taken with one warning, experimental or not", () => {
  for (const name of ["experimental-compaction-batch-limit", "compaction-batch-limit"]) {
    const { warnings } = config({ args: [`--${name}`, "5"] });
    assert.deepEqual(warnings, ["--compaction-batch-limit has no meaning here and is passed over"]);
  }
  assert.deepEqual(config({ args: ["--enable-pprof=false"] }).warnings, []);
  assert.equal(config({ args: ["--enable-pprof"] }).warnings.length, 1);
});

test("clients are met at several addresses, with TLS or without, HTTP apart, by a unix socket", () => {
  const certificate = ["--cert-file", "c", "--key-file", "k"];
  const advertise = ["--advertise-client-urls", "https://a:1"];
  const found = config({
    args: [
      ...[...certificate, ...advertise, "--listen-client-urls", "https://a:1,http://b:2,unix:///s"],
      ...["--trusted-ca-file", "ca", "--client-cert-auth", "--client-crl-file", "r"],
      ...["--listen-client-http-urls", "https://a:3", "--tls-min-version", "TLS1.3"],
      ...["--listen-metrics-urls", "http://a:4"],
      ...["--cipher-suites", "X,Y", "--cors", "http://p", "--host-whitelist", "h1,h2"],
    ],
  });
  assert.deepEqual(found.clients.listen, { host: "a", port: 1 });
  assert.deepEqual(found.clients.door, {
    tls: {
      ...{ certFile: "c", keyFile: "k", clientCertAuth: true, trustedCaFile: "ca", crlFile: "r" },
      ...{ cipherSuites: ["X", "Y"], minVersion: "TLSv1.3" },
    },
    main: { secure: true, serves: "grpc" },
    more: [
      { at: { host: "b", port: 2 }, secure: false, serves: "grpc" },
      { at: { path: "/s" }, secure: false, serves: "grpc" },
      { at: { host: "a", port: 3 }, secure: true, serves: "http" },
      { at: { host: "a", port: 4 }, secure: false, serves: "metrics" },
    ],
    cors: ["http://p"],
    hostWhitelist: ["h1", "h2"],
  });
  assert.equal(found.warnings.length, 3, "three addresses are plain beside a certificate");
});

test("what is not built is refused rather than passed over", () => {
  for (const { name, kind, use, fallback } of etcdFlags) {
    if (use !== "missing") continue;
    const other = kind === "bool" ? String(fallback !== "true") : kind === "int" ? "7" : "x";
    assert.match(refusal({ args: [`--${name}=${other}`] }).message, /is not built yet/, name);
    assert.doesNotThrow(() => config({ args: [`--${name}=${fallback}`] }), name);
  }
});

test("every mistake is one line, with etcd's exit code", () => {
  const two = ["--initial-cluster", "m1=http://a:1,m2=http://b:1"];
  const rows: readonly [args: readonly string[], message: RegExp, exitCode: number][] = [
    [["--nmae", "x"], /not defined: --nmae; did you mean --name\?/, 2],
    [["--listen-client-url", "x"], /did you mean --listen-client-urls\?/, 2],
    [["--zzzzzzzzzz"], /not defined: --zzzzzzzzzz$/, 2],
    [["name"], /'name' is not a valid flag/, 2],
    [["--name"], /needs an argument/, 2],
    [["--heartbeat-interval", "1.5"], /whole number/, 2],
    [["--heartbeat-interval", "300"], /at least as 5 times/, 1],
    [["--election-timeout", "60000"], /too long/, 1],
    [["--initial-cluster-state", "old"], /new or existing/, 2],
    [["--listen-peer-urls", "ftp://a:1"], /scheme/, 1],
    [["--listen-peer-urls", "http://a"], /host:port/, 1],
    [["--listen-client-urls", "http://a:1"], /advertise-client-urls is required/, 1],
    [["--initial-advertise-peer-urls", "http://0.0.0.0:2380"], /cannot call/, 1],
    [["--name", "x", ...two], /couldn't find local name "x"/, 1],
    [["--name", "m1", ...two], /missing from --initial-advertise-peer-urls/, 1],
    [["--initial-cluster", "m1=http://a:1,m2=http://a:1", "--name", "m1"], /twice/, 1],
    [
      ["--listen-client-urls", "https://a:1", "--advertise-client-urls", "https://a:1"],
      /TLS key/,
      1,
    ],
    [["--cert-file", "c"], /belong together/, 1],
    [["--client-cert-auth"], /needs --cert-file/, 1],
    [["--listen-client-urls", "unix:///s", "--advertise-client-urls", "http://a:1"], /no URL/, 1],
    [["--cert-file=c", "--key-file=k", "--tls-min-version=TLS1.1"], /TLS1\.2 or TLS1\.3/, 2],
    [["--discovery-srv", "d", ...two], /multiple discovery or bootstrap flags/, 1],
    [["--strict-reconfig-check=maybe"], /true or false/, 2],
    [["--experimental-watch-progress-notify-interval", "soon"], /duration/, 2],
    [["--config-file", "none.yaml"], /none\.yaml: ENOENT/, 1],
  ];
  for (const [args, message, exitCode] of rows) {
    const found = refusal({ args });
    assert.match(found.message, message);
    assert.equal(found.exitCode, exitCode, found.message);
    assert.doesNotMatch(found.message, /\n/);
  }
});

test("a file with unknown keys, other shapes or no YAML at all is refused with its path", () => {
  const rows: readonly [file: string, message: RegExp][] = [
    ["nmae: x", /f: nmae is no setting; did you mean name\?/],
    ["- a", /f: it must be a map/],
    ["name: {a: 1}", /f: name must be one value/],
    ["client-transport-security: 5", /must be a map/],
    [
      "peer-transport-security: {cert-file: a}",
      /^KeyFile and CertFile must both be present\[key: , cert: a\]$/,
    ],
    ["name: [", /^f: /],
  ];
  for (const [file, message] of rows) {
    assert.match(refusal({ args: ["--config-file=f"], file }).message, message);
  }
});

test("TLS between members, as flags and as a file", () => {
  const https = ["--listen-peer-urls=https://127.0.0.1:1,http://127.0.0.1:2"];
  const pair = ["--peer-cert-file=c", "--peer-key-file=k"];
  const found = config({ args: [...https, ...pair, "--peer-client-cert-auth"] });
  assert.deepEqual(found.peerTls, { certFile: "c", keyFile: "k", clientCertAuth: true });
  assert.deepEqual(
    found.listenPeers.map(({ isTls }) => isTls),
    [true, false],
  );
  assert.equal(config({ args: [...https, "--peer-auto-tls"] }).peerTls, "auto");
  assert.deepEqual(config({ args: [...pair, "--peer-auto-tls"] }).peerTls, {
    ...{ certFile: "c", keyFile: "k" },
  });
  assert.equal(config({}).peerTls, undefined);
  const file = "peer-transport-security: {cert-file: c, key-file: k, trusted-ca-file: a}";
  assert.deepEqual(config({ args: ["--config-file=f"], file }).peerTls, {
    ...{ certFile: "c", keyFile: "k", trustedCaFile: "a" },
  });
  assert.match(refusal({ args: https }).message, /KeyFile and CertFile are not presented$/);
  assert.match(
    refusal({ args: ["--peer-cert-allowed-cn=a", "--peer-cert-allowed-hostname=b"] }).message,
    /^AllowedCN and AllowedHostname are mutually exclusive/,
  );
});

test("Go's durations", () => {
  const rows: readonly [string, number | undefined][] = [
    ["1h30m", 5_400_000],
    ["1.5s", 1500],
    ["0", 0],
    ["250ms", 250],
    ["2000000ns", 2],
    ["", undefined],
    ["5", undefined],
    ["s", undefined],
    ["1s x", undefined],
  ];
  for (const [text, ms] of rows) assert.equal(parseDuration(text), ms, text);
});

test("a hint is near, or there is none", () => {
  assert.equal(nearestFlag("data_dir"), "data-dir");
  assert.equal(nearestFlag("qqqqqqqqqqqqqqqqqqqq"), undefined);
});
