// The list of known traps names a test for each, and each of these is there.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { projectRoot } from "./support/paths.ts";

/** Rows of the two tables of traps that this project is to be safe from. */
const rowsMin = 32;

test("every known trap has a test that is still there", () => {
  const text = readFileSync(join(projectRoot, "src/docs/traps.md"), "utf8");
  const rows = text.split("\n").filter((line) => /^\| (?!trap \||-)/.test(line));
  assert.ok(rows.length >= rowsMin, `${rows.length} rows`);
  const seen = new Set<string>();
  for (const row of rows) {
    const [, path, title] = /\| `(test\/[^`]+)`: (.+?) \|$/.exec(row) ?? [];
    assert.ok(path !== undefined && title !== undefined, `no test in: ${row}`);
    const source = readFileSync(join(projectRoot, path), "utf8");
    const named = path.endsWith(".txt") ? source : titlesOf(source).join("\n");
    assert.ok(named.includes(title), `${path} has no test "${title}"`);
    assert.ok(!seen.has(`${path} ${title}`), `one test for two traps: ${title}`);
    seen.add(`${path} ${title}`);
  }
});

/** What `test(...)` calls say, also those in a loop. */
function titlesOf(source: string): readonly string[] {
  return [...source.matchAll(/\btest\(\s*(["`'])(.*?)\1,/gs)].map(([, , title]) => title ?? "");
}
