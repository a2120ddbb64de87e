// Lists of revisions that share their room: each tells what was pushed to it, whatever the others do.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../src/base/prng.ts";
import { NumberRuns } from "../../src/mvcc/numberRuns.ts";
import { RevisionList, type Revisions } from "../../src/mvcc/revisions.ts";

type Pairs = (readonly [main: number, sub: number])[];

const pairsOf = (list: Revisions): Pairs =>
  Array.from({ length: list.count }, (_, i) => [list.main(i), list.sub(i)] as const);

function filled(runs: NumberRuns, count: number): RevisionList {
  const list = new RevisionList(runs);
  for (let main = 1; main <= count; main++) list.push(main, 0);
  return list;
}

test("lists that share their room tell what was pushed to them and not cut", () => {
  const seed = Date.now() % 1_000_000;
  const random = new Prng(seed);
  const runs = new NumberRuns();
  const lists: { list: RevisionList | undefined; pairs: Pairs }[] = [];
  for (let i = 0; i < 40; i++) lists.push({ list: undefined, pairs: [] });
  for (let main = 2 ** 32, step = 0; step < 40_000; step++, main++) {
    // Some lists are chosen far more often than others.
    const each = lists[random.integer(1 + random.integer(lists.length))];
    assert.ok(each !== undefined);
    if (!random.oneIn(60)) {
      const sub = random.oneIn(50) ? random.integer(5) : 0;
      each.list ??= new RevisionList(runs);
      each.list.push(main, sub);
      each.pairs.push([main, sub]);
    } else if (each.list !== undefined) {
      const at = random.integer(each.pairs.length + 1) - (random.oneIn(9) ? 1 : 0);
      const gone = each.pairs.splice(0, Math.max(at, 0));
      let dropped: Pairs = [];
      each.list = each.list.cut(at, (list, end) => {
        dropped = pairsOf(list).slice(0, end);
      });
      assert.deepEqual(dropped, gone, `seed ${seed}, step ${step}`);
      assert.equal(each.list === undefined, each.pairs.length === 0);
    }
  }
  for (const { list, pairs } of lists) {
    assert.deepEqual(list === undefined ? [] : pairsOf(list), pairs, `seed ${seed}`);
    const [first, last] = [pairs[0]?.[0] ?? 0, pairs.at(-1)?.[0] ?? 0];
    for (const at of [first - 1, first, last - 1, last, last + 1, random.integer(2 ** 33)]) {
      const want = pairs.findLastIndex(([main]) => main <= at);
      assert.equal(list?.lastAtOrBelow(at) ?? -1, want, `seed ${seed}: at ${at}`);
    }
  }
});

test("a list longer than a page is whole, and its room is used again", () => {
  const runs = new NumberRuns();
  const list = filled(runs, 200_000);
  assert.equal(list.main(131_072), 131_073);
  assert.equal(list.lastAtOrBelow(150_000), 149_999);
  const kept = list.cut(190_000, (dropped, end) => assert.equal(dropped.main(end - 1), 190_000));
  assert.deepEqual([kept?.count, kept?.main(0), kept?.main(9_999)], [10_000, 190_001, 200_000]);
  const placesMax = runs.places + 2 ** 18;
  for (let round = 0; round < 8; round++) filled(runs, 200_000).cut(200_000, () => {});
  assert.ok(runs.places <= placesMax, `${runs.places} places`);
});

test("runs never share a place, whichever size is taken first", () => {
  for (const first of [2, 9, 16, 17]) {
    const runs = new NumberRuns();
    const taken = [first, 2, 17, 5, 16, 2].map((bits) => ({ address: runs.take(bits), bits }));
    taken.sort((a, b) => a.address - b.address);
    for (const [i, { address, bits }] of taken.entries()) {
      const next = taken[i + 1]?.address ?? Number.POSITIVE_INFINITY;
      assert.ok(address + 2 ** Math.min(bits, 16) <= next, `${first} first: ${address}, ${next}`);
      assert.ok(runs.placeOf(address) + 2 ** bits <= runs.page(address).length);
    }
  }
});

test("lists that come and go take no more room than those of one round", () => {
  const runs = new NumberRuns();
  const round = (): void => {
    const lists = Array.from({ length: 300 }, (_, i) => filled(runs, 1 + (i % 90)));
    for (const list of lists) list.cut(list.count, () => {});
  };
  round();
  const places = runs.places;
  for (let i = 0; i < 20; i++) round();
  assert.equal(runs.places, places);
});
