// The tree of intervals against a plain list, and its height.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Interval, RangeTree } from "../../src/base/rangeTree.ts";
import { cpuMsOf } from "../support/cpuTime.ts";

const keyArb = fc
  .array(fc.constantFrom("\0", "a", "b", "\xff"), { maxLength: 3 })
  .map((c) => c.join(""));
const intervalArb: fc.Arbitrary<Interval> = fc.oneof(
  keyArb.map((from) => ({ from, to: `${from}\0` })),
  keyArb.map((from) => ({ from, to: undefined })),
  fc
    .tuple(keyArb, keyArb)
    .filter(([a, b]) => a !== b)
    .map(([a, b]) => (a < b ? { from: a, to: b } : { from: b, to: a })),
);
const actArb = fc.record({
  kind: fc.constantFrom("add", "add", "delete", "look"),
  interval: intervalArb,
  key: keyArb,
});

const nameOf = ({ from, to }: Interval): string => JSON.stringify([from, to ?? null]);
const holds = ({ from, to }: Interval, key: string): boolean =>
  from <= key && (to === undefined || key < to);

test("a tree finds what a list of all intervals finds", () => {
  fc.assert(
    fc.property(fc.array(actArb, { maxLength: 200 }), (acts) => {
      const tree = new RangeTree<string>();
      const list = new Map<string, Interval>();
      for (const { kind, interval, key } of acts) {
        const name = nameOf(interval);
        if (kind === "add" && !list.has(name)) {
          tree.add(interval, name);
          list.set(name, interval);
        } else if (kind === "delete" && list.delete(name)) tree.delete(interval);
        assert.equal(tree.get(interval), list.has(name) ? name : undefined, name);
        const found: string[] = [];
        tree.visit(key, (item) => void found.push(item));
        const wanted = [...list].filter(([, each]) => holds(each, key)).map(([each]) => each);
        assert.deepEqual(found.toSorted(), wanted.toSorted(), `holders of ${JSON.stringify(key)}`);
        assert.equal(tree.size, list.size, "size");
      }
    }),
    { numRuns: 300 },
  );
});

test("intervals that come in order do not make a list: a look-up passes over most of them", () => {
  const tree = new RangeTree<number>();
  const count = 20_000;
  const at = (i: number): string => String(i).padStart(6, "0");
  for (let i = 0; i < count; i++) tree.add({ from: at(i), to: `${at(i)}~~` }, i);
  const eachTime = (lookUps: number, lookUp: (key: string, i: number) => void): number =>
    cpuMsOf(() => {
      for (let i = 0; i < lookUps; i++) lookUp(`${at(i)}x`, i);
    });
  const treeMs = eachTime(count, (key, i) => {
    let found = 0;
    tree.visit(key, (item) => {
      assert.equal(item, i, "the one interval");
      found++;
    });
    assert.equal(found, 1, "found once");
  });
  const list = Array.from({ length: count }, (_, i) => ({ from: at(i), to: `${at(i)}~~` }));
  const listMs = eachTime(count / 100, (key) => {
    assert.equal(list.filter(({ from, to }) => from <= key && key < to).length, 1);
  });
  // As many look-ups in a list would take a hundred times that.
  const most = 10 * listMs;
  assert.ok(treeMs < most, `${count} look-ups took ${treeMs} ms, a hundredth in a list ${listMs}`);
  for (let i = 0; i < count; i += 2) tree.delete({ from: at(i), to: `${at(i)}~~` });
  assert.equal(tree.size, count / 2, "half are gone");
});
