// Births of peers: the first one counts, over all lives of the member that remembers it.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { MemberId } from "../../src/base/brand.ts";
import { BirthsFile, birthsName } from "../../src/storage/birthsFile.ts";
import { DataDirError } from "../../src/storage/dataDirError.ts";

const [one, two] = [MemberId(0xffff_ffff_ffff_fff1n), MemberId(2n)];

function within(act: (directory: string) => void): void {
  const directory = mkdtempSync(join(tmpdir(), "quorlet-births-"));
  try {
    act(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("what a peer told is known in every later life", () => {
  within((directory) => {
    const births = new BirthsFile(directory);
    assert.equal(births.get(one), undefined);
    births.set(one, 1_700_000_000_000);
    births.set(two, 5);
    const later = new BirthsFile(directory);
    assert.deepEqual([later.get(one), later.get(two)], [1_700_000_000_000, 5]);
  });
});

test("a damaged file is told of, not taken for an empty one", () => {
  for (const text of ["", "{", "[1", "null", '{"1":"x"}', '{"g":1}']) {
    within((directory) => {
      writeFileSync(join(directory, birthsName), text);
      assert.throws(() => new BirthsFile(directory), DataDirError, text);
    });
  }
});

test("what cannot be written is not remembered either", () => {
  within((directory) => {
    const births = new BirthsFile(directory);
    births.set(one, 1);
    mkdirSync(join(directory, `${birthsName}.tmp`));
    assert.throws(() => births.set(two, 2), DataDirError);
    assert.equal(births.get(two), undefined);
    assert.match(readFileSync(join(directory, birthsName), "utf8"), /"fffffffffffffff1": 1\n/);
  });
});
