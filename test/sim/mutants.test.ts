// The deliberate bugs: each still has its place in the source, and some are found at once.
import assert from "node:assert/strict";
import { test } from "node:test";
import { allMutants } from "./mutants/all.ts";
import { foundAt } from "./mutants/foundAt.ts";
import { hunt, mutantSeedsMax } from "./mutants/hunt.ts";
import { patched, patchesOf } from "./mutants/mutant.ts";

test("each mutant still fits the source", async () => {
  const names = allMutants.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length, "names differ");
  for (const mutant of allMutants) {
    for (const patch of patchesOf(mutant)) {
      const source = await patched(patch);
      assert.ok(source.includes(patch.replace), `${mutant.name} is planted`);
    }
  }
});

test("each mutant was found by a seed that is noted", () => {
  const names = allMutants.map(({ name }) => name).sort();
  assert.deepEqual(Object.keys(foundAt).sort(), names);
  for (const [name, seed] of Object.entries(foundAt)) {
    assert.ok(seed >= 1 && seed <= mutantSeedsMax, `${name}: seed ${seed}`);
  }
});

/** Found within a few seeds; the whole table is `npm run sim -- --mutants`. */
const quick = [
  "a member votes twice in a term",
  "an answer leaves before the entries are on disk",
  "a batch that is proposed twice is applied twice",
  "half of the members commit",
] as const;

for (const name of quick) {
  test(`${name}: found`, async () => {
    const mutant = allMutants.find((each) => each.name === name);
    assert.ok(mutant, "the list has it");
    const { seed, checker, message } = await hunt(mutant, { jobs: 1, seedsMax: 100 });
    assert.ok(seed !== undefined, "no seed up to 100 found it");
    assert.notEqual(checker, "simulator", message);
  });
}
