// The ordered map of keys: points, ranges, counts, removal.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { spanOf } from "../../src/base/bytes.ts";
import { Prng } from "../../src/base/prng.ts";
import { Index } from "../../src/mvcc/index.ts";
import { keyHash } from "../../src/mvcc/keyHash.ts";
import { KeyTable, noKey } from "../../src/mvcc/keyTable.ts";
import { sortByKey } from "../../src/mvcc/sortByKey.ts";
import { chunkSlotsMax } from "../../src/mvcc/sortedKeys.ts";
import { bytes } from "./support.ts";

const span = (key: string) => spanOf(bytes(key));
const range = (from: string, to: string | undefined) => ({
  from: bytes(from),
  to: to === undefined ? undefined : bytes(to),
});
const all = range("", undefined);

function keysIn(index: Index, from: string, to: string | undefined): string[] {
  const keys: string[] = [];
  index.visit(range(from, to), (slot) => keys.push(index.text(slot)) > 0);
  return keys;
}

test("keys come in byte order, whatever the order of the puts", () => {
  const count = 5 * chunkSlotsMax;
  const orders = {
    ascending: Array.from({ length: count }, (_, i) => i),
    descending: Array.from({ length: count }, (_, i) => count - 1 - i),
    scattered: Array.from({ length: count }, (_, i) => (i * 577) % count),
  };
  for (const [name, order] of Object.entries(orders)) {
    const index = new Index();
    order.forEach((n, i) => void index.put(span(String(n).padStart(6, "0")), i + 2, 0));
    const want = [...order].sort((a, b) => a - b).map((n) => String(n).padStart(6, "0"));
    assert.deepEqual(keysIn(index, "", undefined), want, name);
    assert.equal(index.countAlive(all), count, name);
    assert.equal(index.countAlive(range("000100", "000900")), 800, name);
  }
});

test("puts, deletes and removals agree with a plain sorted list", () => {
  const seed = Date.now() % 1_000_000;
  const random = new Prng(seed);
  const index = new Index({ low: seed, high: 7 });
  const state = new Map<string, boolean>();
  // Few keys at first, then many, then few again, so that chunks split and merge.
  for (let step = 0, main = 1; step < 12_000; step++) {
    const phase = Math.floor(step / 4000);
    const key = keyOf(random.integer(phase === 0 ? 50 : 3000));
    const slot = index.find(span(key));
    main++;
    if (random.integer(10) < (phase === 2 ? 3 : 7)) {
      const at = index.put(span(key), main, 0);
      assert.equal(index.main(at), main, `seed ${seed}, step ${step}`);
      state.set(key, true);
    } else if (slot !== noKey && index.isAlive(slot)) {
      index.tombstone(slot, main, 0);
      state.set(key, false);
    } else if (slot !== noKey) {
      index.remove(slot);
      state.delete(key);
    }
    assert.equal(index.find(span(key)) !== noKey, state.has(key), `seed ${seed}, step ${step}`);
    if (step % 50 === 0) check(index, state, random, `seed ${seed}, step ${step}`);
  }
});

/** Keys of many lengths, some of which begin others; a few are too long for a shared slab. */
function keyOf(n: number): string {
  if (n % 500 === 0) return `${"long".repeat(20_000)}${n}`;
  return `${n % 7}${"/x".repeat(n % 40)}`.slice(0, 1 + (n % 60)) + (n % 3 === 0 ? "" : String(n));
}

function check(index: Index, state: Map<string, boolean>, random: Prng, where: string): void {
  const sorted = [...state.keys()].sort();
  assert.equal(index.size, sorted.length, where);
  const [from, to] = [keyOf(random.integer(3000)), keyOf(random.integer(3000))];
  const ranges = [
    { from: "", to: undefined },
    { from, to },
    { from, to: undefined },
    { from, to: from },
    { from, to: `${from}\0` },
  ];
  for (const { from: low, to: high } of ranges) {
    const inside = sorted.filter((key) => key >= low && (high === undefined || key < high));
    assert.deepEqual(keysIn(index, low, high), inside, where);
    const alive = inside.filter((key) => state.get(key)).length;
    assert.equal(index.countAlive(range(low, high)), alive, `${where}: alive in ${low} to ${high}`);
  }
}

test("a restored index equals the one that grew", () => {
  const grown = new Index();
  const restored = new Index();
  for (let i = 0; i < 1000; i++) {
    const key = String((i * 389) % 1000);
    const slot = grown.put(span(key), i + 2, 0);
    const same = restored.restore(span(key));
    restored.restorePut(same, { main: i + 2, sub: 0, created: i + 2, version: 1 });
    if (i % 3 !== 0) continue;
    grown.tombstone(slot, i + 2, 1);
    restored.restoreTombstone(restored.restore(span(key)), i + 2, 1);
  }
  restored.seal();
  assert.deepEqual(keysIn(restored, "", undefined), keysIn(grown, "", undefined));
  assert.equal(restored.countAlive(all), grown.countAlive(all));
  restored.put(span("0"), 2000, 0);
  grown.put(span("0"), 2000, 0);
  assert.equal(restored.countAlive(all), grown.countAlive(all));
});

test("an iteration stops when it is told to", () => {
  const index = new Index();
  for (let i = 0; i < 10; i++) index.put(span(String(i)), i + 2, 0);
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
        const all = keys.map((key) => prefix + key);
        assert.deepEqual(sorted(all), [...all].sort());
      },
    ),
    { numRuns: 50 },
  );
});

test("sortByKey gets on with keys that differ in their lengths only", () => {
  const keys = Array.from({ length: 300 }, (_, i) => `p${"\0".repeat((i * 7) % 300)}`);
  sorted(keys).forEach((key, i) => {
    assert.equal(key.length, i + 1);
  });
});

function sorted(keys: readonly string[]): string[] {
  const table = new KeyTable({ low: 1, high: 2 });
  for (const key of keys) table.add(span(key));
  const slots = table.slots();
  sortByKey(table, slots);
  return Array.from(slots, (slot) => table.text(slot));
}

test("a hash depends on every byte, on the length and on the seed", () => {
  const of = (text: string, low = 1, high = 2) => {
    const padded = bytes(`..${text}..`);
    return keyHash({ low, high }, padded, 2, padded.length - 2);
  };
  const texts = Array.from({ length: 12 }, (_, i) => "0".repeat(i));
  for (let i = 0; i < 12; i++) texts.push(`${"0".repeat(i)}1${"0".repeat(11 - i)}`);
  const hashes = texts.flatMap((text) => [of(text), of(text, 3), of(text, 1, 3)]);
  assert.equal(new Set(hashes).size, hashes.length);
  assert.equal(of("key"), of("key"));
});
