// The ordered map of keys: points, ranges, counts, removal.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { chunkEntriesMax, Index } from "../../src/mvcc/index.ts";
import { KeyIndex } from "../../src/mvcc/keyIndex.ts";
import { sortByKey } from "../../src/mvcc/sortByKey.ts";

const all = { from: "", to: undefined };

function keysIn(index: Index, from: string, to: string | undefined): string[] {
  const keys: string[] = [];
  index.visit({ from, to }, (entry) => keys.push(entry.key) > 0);
  return keys;
}

test("keys come in byte order, whatever the order of the puts", () => {
  const count = 5 * chunkEntriesMax;
  const orders = {
    ascending: Array.from({ length: count }, (_, i) => i),
    descending: Array.from({ length: count }, (_, i) => count - 1 - i),
    scattered: Array.from({ length: count }, (_, i) => (i * 577) % count),
  };
  for (const [name, order] of Object.entries(orders)) {
    const index = new Index();
    order.forEach((n, i) => void index.put(String(n).padStart(6, "0"), i + 2, 0));
    const want = [...order].sort((a, b) => a - b).map((n) => String(n).padStart(6, "0"));
    assert.deepEqual(keysIn(index, "", undefined), want, name);
    assert.equal(index.countAlive(all), count, name);
    assert.equal(index.countAlive({ from: "000100", to: "000900" }), 800, name);
  }
});

test("puts, deletes and removals agree with a plain sorted list", () => {
  const seed = Date.now() % 1_000_000;
  const random = new Prng(seed);
  const index = new Index();
  const state = new Map<string, boolean>();
  // Few keys at first, then many, then few again, so that chunks split and merge.
  for (let step = 0, main = 1; step < 12_000; step++) {
    const phase = Math.floor(step / 4000);
    const key = String(random.integer(phase === 0 ? 50 : 3000));
    const entry = index.get(key);
    main++;
    if (random.integer(10) < (phase === 2 ? 3 : 7)) {
      index.put(key, main, 0);
      state.set(key, true);
    } else if (entry?.alive) {
      index.tombstone(entry, main, 0);
      state.set(key, false);
    } else if (entry !== undefined) {
      index.remove(entry);
      state.delete(key);
    }
    if (step % 50 === 0) check(index, state, random, `seed ${seed}, step ${step}`);
  }
});

function check(index: Index, state: Map<string, boolean>, random: Prng, where: string): void {
  const sorted = [...state.keys()].sort();
  assert.equal(index.size, sorted.length, where);
  const [from, to] = [String(random.integer(3000)), String(random.integer(3000))];
  const ranges = [
    { from: "", to: undefined },
    { from, to },
    { from, to: undefined },
    { from, to: from },
    { from, to: `${from}\0` },
  ];
  for (const range of ranges) {
    const inside = sorted.filter(
      (key) => key >= range.from && (range.to === undefined || key < range.to),
    );
    assert.deepEqual(keysIn(index, range.from, range.to), inside, where);
    const alive = inside.filter((key) => state.get(key)).length;
    assert.equal(index.countAlive(range), alive, `${where}: alive in ${JSON.stringify(range)}`);
  }
}

test("a restored index equals the one that grew", () => {
  const grown = new Index();
  const restored = new Index();
  for (let i = 0; i < 1000; i++) {
    const key = String((i * 389) % 1000);
    const entry = grown.put(key, i + 2, 0);
    restored.restore(key).restorePut(i + 2, 0, { created: i + 2, version: 1 });
    if (i % 3 !== 0) continue;
    grown.tombstone(entry, i + 2, 1);
    restored.restore(key).restoreTombstone(i + 2, 1);
  }
  restored.seal();
  assert.deepEqual(keysIn(restored, "", undefined), keysIn(grown, "", undefined));
  assert.equal(restored.countAlive(all), grown.countAlive(all));
  restored.put("0", 2000, 0);
  grown.put("0", 2000, 0);
  assert.equal(restored.countAlive(all), grown.countAlive(all));
});

test("an iteration stops when it is told to", () => {
  const index = new Index();
  for (let i = 0; i < 10; i++) index.put(String(i), i + 2, 0);
  let visits = 0;
  index.visit(all, () => ++visits < 3);
  assert.equal(visits, 3);
});

test("sortByKey sorts as comparing does", () => {
  const text = fc.string({
    unit: fc.constantFrom("\0", "a", "b", "\x7f", "\xff"),
    minLength: 1,
    maxLength: 12,
  });
  fc.assert(
    fc.property(
      fc.uniqueArray(text, { minLength: 100, maxLength: 500 }),
      fc.string(),
      (keys, p) => {
        const prefix = p.replaceAll(/[^\0-\xff]/g, "");
        const entries = keys.map((key) => new KeyIndex(prefix + key));
        const want = keys.map((key) => prefix + key).sort();
        assert.deepEqual(
          sortByKey(entries).map((entry) => entry.key),
          want,
        );
      },
    ),
    { numRuns: 50 },
  );
});

test("sortByKey gets on with keys that differ in their lengths only", () => {
  const keys = Array.from({ length: 300 }, (_, i) => `p${"\0".repeat((i * 7) % 300)}`);
  const sorted = sortByKey(keys.map((key) => new KeyIndex(key)));
  sorted.forEach((entry, i) => {
    assert.equal(entry.key.length, i + 1);
  });
});
