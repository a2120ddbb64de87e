// Who may import whom. The one table behind the tidy test and the lint settings.

/**
 * A room, and what it may import besides itself. "raft" is the whole room, "raft/types" one file.
 * "base" leaves out `base/system`, the door to the real clock, which is named where it is allowed.
 */
export const arrows: Readonly<Record<string, readonly string[]>> = {
  base: [],
  proto: ["base"],
  raft: ["base"],
  transport: ["base", "raft"],
  storage: ["base", "raft/types"],
  mvcc: ["base", "storage/engine"],
  lease: ["base", "storage/engine"],
  auth: ["base", "storage/engine"],
  bolt: ["base"],
  apply: ["base", "proto", "raft/types", "storage/engine", "mvcc", "lease", "auth", "bolt"],
  watch: ["base", "mvcc"],
  member: [
    ...["base", "proto", "raft", "storage/engine", "storage/log", "storage/raftLog"],
    ...[
      "storage/storeHome",
      "transport/link",
      "transport/frame",
      "mvcc",
      "lease",
      "auth",
      "bolt",
      "apply",
      "watch",
    ],
  ],
  api: ["base", "proto", "apply/command", "apply/outcome", "auth/tokens", "member", "grpc/call"],
  http2: ["base"],
  grpc: ["base", "proto", "http2", "api", "member/service"],
  gateway: [
    "base",
    "proto",
    "http2",
    "api",
    "grpc/call",
    "grpc/deadlines",
    "grpc/stats",
    "member/service",
  ],
  door: [
    ...["base", "http2", "grpc", "gateway"],
    ...["transport/callBatch", "transport/postBytes", "transport/tlsFiles"],
  ],
  metrics: ["base", "grpc/stats", "member/tally", "storage/logDisk", "transport/link"],
  client: ["base", "proto", "transport/callBatch"],
  cluster: [
    ...["base", "base/system", "proto", "raft/types", "member", "storage", "transport"],
    ...["client", "grpc/call"],
  ],
  cli: ["base", "base/system", "client"],
  config: ["base/system", "cluster/address", "cluster/protocol", "member/events"],
};

/** Rooms and files whose every input is an argument: no clock, no chance, no disk, no waiting. */
export const pureRooms: readonly string[] = [
  ...["base", "raft", "mvcc", "lease", "auth", "bolt", "apply", "watch", "member"],
  ...["storage/engine", "storage/memory", "storage/log", "storage/raftLog"],
  ...["storage/storeHome", "storage/memoryHome"],
];

/** Packages that a pure room may use: the same answer for the same arguments. */
export const pureLibraries: readonly string[] = ["@node-rs/crc32"];

/** Names of the outer world that a pure room may not use. */
export const impureGlobals: readonly string[] = [
  ...["Date", "process", "performance", "setTimeout", "setInterval", "setImmediate"],
  ...["clearTimeout", "clearInterval", "clearImmediate", "queueMicrotask"],
];

export const fileLinesMax = 500;
export const functionLinesMax = 70;

/** "src/raft/node.ts" is "raft/node"; undefined for files outside of a room of src. */
export function roomFileOf(path: string): string | undefined {
  return /^src\/(\w+\/[\w./]+)\.ts$/.exec(path)?.[1];
}

export function roomOf(roomFile: string): string {
  return roomFile.split("/")[0] ?? "";
}

/** @param from as @param to: room and file, "raft/node". */
export function mayImport(from: string, to: string): boolean {
  const allowed = arrows[roomOf(from)];
  if (allowed?.includes(to) || roomOf(from) === roomOf(to)) return true;
  return to !== "base/system" && (allowed?.includes(roomOf(to)) ?? false);
}

export function isPure(roomFile: string): boolean {
  if (roomFile === "base/system") return false;
  return pureRooms.includes(roomFile) || pureRooms.includes(roomOf(roomFile));
}

/** The table as lines, for a failure message. */
export function arrowLines(): readonly string[] {
  return Object.entries(arrows).map(
    ([room, to]) => `${room.padEnd(10)} → ${to.join(", ") || "nothing"}`,
  );
}

/** The same rules as Biome settings: one override per room. */
export function lintOverrides(): readonly object[] {
  const perRoom = Object.entries(arrows).map(([room, allowed]) => ({
    includes: [`src/${room}/**`],
    linter: {
      rules: { style: { noRestrictedImports: restrictImports(room, allowed) } },
    },
  }));
  const pure = {
    includes: [
      ...pureRooms.map((room) => `src/${room}${room.includes("/") ? ".ts" : "/**"}`),
      "!src/base/system.ts",
    ],
    linter: {
      rules: {
        style: {
          noRestrictedGlobals: { level: "error", options: { deniedGlobals: deniedGlobals() } },
        },
      },
    },
  };
  // A suite of tests is one function around many; the tidy test measures those.
  const suites = {
    includes: ["test/**"],
    linter: { rules: { complexity: { noExcessiveLinesPerFunction: "off" } } },
  };
  return [...perRoom, pure, suites];
}

function restrictImports(room: string, allowed: readonly string[]): object {
  const isPureRoom = pureRooms.includes(room);
  const group = [
    "../*/**",
    ...allowed.map((name) => (name.includes("/") ? `!../${name}.ts` : `!../${name}/**`)),
    ...(allowed.includes("base") && !allowed.includes("base/system") ? ["../base/system.ts"] : []),
    ...(isPureRoom && room !== "base" ? ["node:*"] : []),
  ];
  const message = `${room} may import only ${allowed.join(", ") || "itself"}`;
  return { level: "error", options: { patterns: [{ group, message }] } };
}

function deniedGlobals(): Readonly<Record<string, string>> {
  const why = "A pure room gets time, chance and the world as arguments.";
  return Object.fromEntries(impureGlobals.map((name) => [name, why]));
}
