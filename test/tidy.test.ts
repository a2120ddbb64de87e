// Reads the source as a strict reader would: caps, arrows, banned names, dead files.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { arrowLines, arrows, fileLinesMax, lintOverrides, pureRooms } from "./support/arrows.ts";
import { projectRoot } from "./support/paths.ts";
import { functionsOf, importsOf, type SourceFile, scanSource } from "./support/sourceScan.ts";
import { judgeFile, type Untidy, unreached } from "./support/tidyRules.ts";

const files = ["src", "workers", "bench", "test"].flatMap(sourcesIn);
const lintSettings = join(projectRoot, ".config/style.json");
const linter = join(projectRoot, "node_modules/.bin/biome");
/** Where a reader may start; worker files are entries of their threads. */
const entries = [
  "src/main.ts",
  "src/quorlet.ts",
  "src/browser.ts",
  ...sourcesIn("workers").map(({ path }) => path),
];

test("every file keeps the house rules", () => {
  const found = files.flatMap(judgeFile);
  const arrowsBroken = found.some(({ what }) => what.startsWith("no arrow"));
  assertNone(found, arrowsBroken ? ["A room may import:", ...arrowLines()] : []);
});

test("every file of src is reached from an entry", () => {
  assertNone(unreached(files, entries), [`Entries: ${entries.join(", ")}`]);
});

test("every room is in the table of arrows", () => {
  const rooms = readdirSync(join(projectRoot, "src"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && sourcesIn(`src/${entry.name}`).length > 0)
    .map(({ name }) => name);
  for (const room of rooms) assert.ok(arrows[room], `src/${room} has no row in arrows.ts`);
});

test("the top level holds nothing unexpected", () => {
  const allowed = new Set([
    ...["package.json", "package-lock.json", "tsconfig.json", "README.md", "LICENSE"],
    ...["src", "workers", "bench", "test", ".config", ".ci", ".gitignore", ".npmrc", ".git"],
    ...[".build", "node_modules"],
  ]);
  assert.deepEqual(
    readdirSync(projectRoot).filter((name) => !allowed.has(name)),
    [],
  );
});

test("the linter knows the same arrows", () => {
  const settings: unknown = JSON.parse(readFileSync(lintSettings, "utf8"));
  assert.ok(typeof settings === "object" && settings !== null);
  const wanted = { ...settings, overrides: lintOverrides() };
  if (process.env.QUORLET_REWRITE)
    writeFileSync(lintSettings, `${JSON.stringify(wanted, null, 2)}\n`);
  else assert.deepEqual(settings, wanted, "npm test -- tidy --rewrite brings them up to date");
});

test("the linter does refuse what has no arrow", () => {
  const folder = mkdtempSync(join(tmpdir(), "quorlet-tidy-"));
  try {
    cpSync(lintSettings, join(folder, ".config/style.json"));
    mkdirSync(join(folder, "src/raft"), { recursive: true });
    const lint = (line: string) => {
      writeFileSync(join(folder, "src/raft/x.ts"), `// x\n${line}\n`);
      const args = ["lint", "--config-path", ".config/style.json", "src/raft/x.ts"];
      return spawnSync(linter, args, { cwd: folder, encoding: "utf8" });
    };
    const good = lint('import { a } from "../base/brand.ts";\na();');
    assert.equal(good.status, 0, good.stdout + good.stderr);
    const rows = [
      { line: 'import { a } from "../member/a.ts";\na();', want: "noRestrictedImports" },
      { line: 'import { a } from "../base/system.ts";\na();', want: "noRestrictedImports" },
      { line: 'import { a } from "node:fs";\na();', want: "noRestrictedImports" },
      { line: "setTimeout(() => 1, 2);", want: "noRestrictedGlobals" },
      { line: "export const now = Date.now();", want: "noRestrictedGlobals" },
    ];
    for (const { line, want } of rows) {
      const { status, stdout, stderr } = lint(line);
      assert.equal(status, 1, line);
      assert.match(stdout + stderr, new RegExp(want), line);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("no pure room or file may have the time, chance or a module of Node", () => {
  const places = pureRooms.map((room) => (room.includes("/") ? room : `${room}/x`));
  assert.ok(places.includes("raft/x") && places.includes("storage/log"));
  const rows = [
    { line: "const a = new Date();", want: "a pure room names Date" },
    { line: "const a = Math.random();", want: "a pure room names Math.random" },
    { line: 'import { a } from "node:crypto";', want: 'a pure room imports "node:crypto"' },
    { line: "const a = async () => 1;", want: "a pure room names async" },
  ];
  for (const place of places) {
    for (const { line, want } of rows) {
      const found = judgeFile(scanSource(`src/${place}.ts`, `// x\n${line}\n`));
      assert.deepEqual(
        found.map(({ what }) => what),
        [want],
        `${place}: ${line}`,
      );
    }
  }
});

test("each broken rule is found", () => {
  const lines = (count: number) => "  call();\n".repeat(count);
  const rows: readonly { path?: string; source: string; want: string | undefined }[] = [
    { source: "const a = 1;\n", want: "the first line is not a comment about the file's idea" },
    { source: `// x\n${lines(fileLinesMax)}`, want: "501 lines, at most 500" },
    { source: `// x\n${lines(fileLinesMax - 1)}`, want: undefined },
    { source: `// x\nfunction f() {\n${lines(69)}}\n`, want: "a function of 71 lines, at most 70" },
    { source: `// x\nfunction f() {\n${lines(68)}}\n`, want: undefined },
    {
      source: `// x\nconst f = (a: A): B<{ c: D }> => {\n${lines(69)}};\n`,
      want: "a function of 71 lines, at most 70",
    },
    {
      source: `// x\nclass C {\n  m(a = ")"): { b: C } | D {\n${lines(69)}  }\n}\n`,
      want: "a function of 71 lines, at most 70",
    },
    { source: `// x\nclass C {\n${"  m() {}\n".repeat(80)}}\n`, want: undefined },
    { source: "// x\nif (a) {\n}\n", want: undefined },
    {
      path: "test/x.ts",
      source: '// x\nimport { b } from "./b";\nnew URL("./c.js", d);\n',
      want: 'import "./b" does not end in .ts',
    },
    {
      source: '// x\nimport { a } from "../member/a.ts";\n',
      want: "no arrow from raft/x to member/a",
    },
    { source: '// x\nimport { a } from "../base/brand.ts";\n', want: undefined },
    {
      source: '// x\nimport { a } from "../base/system.ts";\n',
      want: "no arrow from raft/x to base/system",
    },
    { source: '// x\nexport type { A } from "./a.ts";\n', want: "a re-export" },
    {
      path: "src/member/x.ts",
      source: '// x\nimport { a } from "../storage/lmdb.ts";\n',
      want: "no arrow from member/x to storage/lmdb",
    },
    {
      path: "src/api/x.ts",
      source: '// x\nimport { a } from "../../bench/a.ts";\n',
      want: "no arrow from api/x to bench/a.ts",
    },
    { source: '// x\nimport { a } from "node:fs";\n', want: 'a pure room imports "node:fs"' },
    { path: "src/http2/x.ts", source: '// x\nimport { a } from "node:fs";\n', want: undefined },
    { source: "// x\nconst a = Date.now();\n", want: "a pure room names Date" },
    { source: "// x\nconst a = Math.random();\n", want: "a pure room names Math.random" },
    { source: "// x\nsetTimeout(a, 1);\n", want: "a pure room names setTimeout" },
    { source: "// x\nconst a = `$" + "{process.pid}`;\n", want: "a pure room names process" },
    { source: "// x\nasync function f() {}\n", want: "a pure room names async" },
    {
      source: '// x: Date, process\nconst a = "Date.now()";\nconst b = /Date/;\n',
      want: undefined,
    },
    { source: "// x\nthis.process.a();\n", want: undefined },
    { path: "src/grpc/x.ts", source: "// x\nconst a = Date.now();\n", want: undefined },
    { source: "// x\nexport default 1;\n", want: "a default export" },
    { source: "// x\nconst a: any = 1;\n", want: "the type any" },
    { source: "// x\nawaitAll(Promise.any(a));\n", want: undefined },
    { source: "// x\nexport const enum A { b }\n", want: "an enum" },
    { source: "// x\nlet count = 0;\n", want: "mutable state of a module" },
    { source: "// x\n// TODO later\n", want: "TODO without the number of an issue" },
    { source: "// x\n// TODO #12: later\n", want: undefined },
    { source: '// x\nconst a = "TODO";\n', want: undefined },
  ];
  for (const { path = "src/raft/x.ts", source, want } of rows) {
    const found = judgeFile(scanSource(path, source)).map(({ what }) => what);
    assert.deepEqual(found, want === undefined ? [] : [want], source.slice(0, 200));
  }
});

test("a file that nobody imports is found, one behind a worker is not", () => {
  const sources: readonly SourceFile[] = [
    scanSource("src/main.ts", '// x\nnew Worker(new URL("../workers/w.js", import.meta.url));\n'),
    scanSource("workers/w.ts", '// x\nimport { a } from "../src/raft/a.ts";\n'),
    scanSource("src/raft/a.ts", '// x\nconst b = await import("./b.ts");\n'),
    scanSource("src/raft/b.ts", "// x\n"),
    scanSource("src/raft/dead.ts", '// x\nimport { a } from "./a.ts";\n'),
  ];
  const paths = unreached(sources, ["src/main.ts"]).map(({ path }) => path);
  assert.deepEqual(paths, ["src/raft/dead.ts"]);
});

test("the reader tells code from text", () => {
  const source = scanSource(
    "x.ts",
    "const a = `{ $" +
      '{f({ b: "}" })} }`; // {\nconst c = 1 / 2 / 3; /* } */ const d = /[/"]{/;\nfunction f() {\n}\n',
  );
  assert.deepEqual(functionsOf(source), [{ line: 3, lineCount: 2, ownLineCount: 2 }]);
  assert.equal(source.code.length, source.text.length);
  const imports =
    'import type {\n  A,\n} from "./a.ts";\nimport "./b.ts";\nexport * from "./c.ts";\n// from "./d.ts"\n';
  const specifiers = importsOf(scanSource("y.ts", imports)).map(({ specifier }) => specifier);
  assert.deepEqual(specifiers, ["./a.ts", "./b.ts", "./c.ts"]);
});

function sourcesIn(folder: string): readonly SourceFile[] {
  return readdirSync(join(projectRoot, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.includes("generated"))
    .map((name) => join(folder, name))
    .sort()
    .map((path) => scanSource(path, readFileSync(join(projectRoot, path), "utf8")));
}

function assertNone(found: readonly Untidy[], hints: readonly string[]): void {
  if (found.length === 0) return;
  const lines = found.map(({ path, line, what }) => `${path}:${line}: ${what}`);
  assert.fail([`${found.length} untidy places`, ...lines, ...hints].join("\n"));
}
