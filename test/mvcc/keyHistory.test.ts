// The lives of one key, row by row.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { spanOf } from "../../src/base/bytes.ts";
import { Index } from "../../src/mvcc/index.ts";
import { bytes } from "./support.ts";

/** An index of one key. */
class KeyIndex {
  readonly #index = new Index();
  readonly #key = spanOf(bytes("key"));
  #slot = 0;

  get alive(): boolean {
    return this.#index.isAlive(this.#slot);
  }

  put(main: number, sub: number): void {
    this.#slot = this.#index.put(this.#key, main, sub);
  }

  tombstone(main: number, sub: number): void {
    this.#index.tombstone(this.#slot, main, sub);
  }

  restorePut(main: number, sub: number, life: { created: number; version: number }): void {
    this.#slot = this.#index.restore(this.#key);
    this.#index.restorePut(this.#slot, { main, sub, ...life });
  }

  restoreTombstone(main: number, sub: number): void {
    this.#slot = this.#index.restore(this.#key);
    this.#index.restoreTombstone(this.#slot, main, sub);
  }

  at(revision: number) {
    return this.#index.at(this.#slot, revision);
  }

  /** What it drops, and whether nothing is left. */
  compact(revision: number): { drops: string; gone: boolean } {
    const drops: string[] = [];
    const gone = this.#index.compact(this.#slot, revision, (dropped, end) => {
      for (let i = 0; i < end; i++) drops.push(`${dropped.main(i)}.${dropped.sub(i)}`);
    });
    return { drops: drops.join(" "), gone };
  }
}

type Step = (index: KeyIndex) => void;
const put =
  (main: number, sub = 0): Step =>
  (index) =>
    index.put(main, sub);
const tombstone =
  (main: number, sub = 0): Step =>
  (index) =>
    index.tombstone(main, sub);

function keyIndexOf(...steps: readonly Step[]): KeyIndex {
  const index = new KeyIndex();
  for (const step of steps) step(index);
  return index;
}

const seen = (index: KeyIndex, revision: number) => {
  const found = index.at(revision);
  return found && [found.created, found.modified, found.sub, found.version];
};

test("a look at a revision finds the version visible at a revision", () => {
  // put 2, put 4, delete 6, put 8: two lives of one key, dead at 6 and 7.
  const index = keyIndexOf(put(2), put(4), tombstone(6), put(8));
  const rows = [
    { at: 1, want: undefined, why: "before the first put" },
    { at: 2, want: [2, 2, 0, 1], why: "a put is visible at its own revision" },
    { at: 3, want: [2, 2, 0, 1], why: "and until the next" },
    { at: 5, want: [2, 4, 0, 2], why: "newest at or below" },
    { at: 6, want: undefined, why: "a tombstone hides the key at its own revision" },
    { at: 7, want: undefined, why: "and until the next put" },
    { at: 8, want: [8, 8, 0, 1], why: "a new life restarts the version" },
    { at: 9, want: [8, 8, 0, 1], why: "nothing newer" },
  ];
  for (const { at, want, why } of rows) assert.deepEqual(seen(index, at), want, `at ${at}: ${why}`);
});

test("several changes in one revision: the last one is what the revision shows", () => {
  const rows = [
    { steps: [put(5, 0), tombstone(5, 3)], at5: undefined, why: "put, then deleted" },
    { steps: [put(2), tombstone(5, 0), put(5, 1)], at5: [5, 5, 1, 1], why: "deleted, then put" },
    { steps: [put(2), put(5, 0), put(5, 7)], at5: [2, 5, 7, 3], why: "put twice" },
  ];
  for (const { steps, at5, why } of rows) {
    const index = keyIndexOf(...steps);
    assert.deepEqual(seen(index, 5), at5, why);
    index.put(9, 0);
    assert.deepEqual(seen(index, 5), at5, `${why}, seen from later`);
  }
});

test("a compaction keeps what is visible from its revision on", () => {
  const lives = [put(2), put(4), tombstone(6), put(8), put(10)];
  const rows = [
    { at: 1, drops: "", why: "nothing is older" },
    { at: 2, drops: "", why: "the newest at the floor stays" },
    { at: 3, drops: "", why: "visible at 3" },
    { at: 4, drops: "2.0", why: "2 is hidden by 4" },
    { at: 6, drops: "2.0 4.0", why: "a tombstone exactly there stays" },
    { at: 7, drops: "2.0 4.0 6.0", why: "a life that ended before goes" },
    { at: 9, drops: "2.0 4.0 6.0", why: "visible at 9" },
    { at: 10, drops: "2.0 4.0 6.0 8.0", why: "the newest put always stays" },
    { at: 99, drops: "2.0 4.0 6.0 8.0", why: "however high the floor" },
  ];
  for (const { at, drops, why } of rows) {
    const index = keyIndexOf(...lives);
    assert.deepEqual(index.compact(at), { drops, gone: false }, `${at}: ${why}`);
    assert.deepEqual(index.compact(at), { drops: "", gone: false }, `${at} again`);
  }
});

test("a dead key leaves the index with its last tombstone", () => {
  const index = keyIndexOf(put(2), tombstone(3));
  assert.deepEqual(index.compact(3), { drops: "2.0", gone: false });
  assert.deepEqual(index.compact(4), { drops: "3.0", gone: true });
});

test("a life of which only the tombstone is left still hides the key", () => {
  const index = keyIndexOf(put(2), tombstone(6), put(8));
  index.compact(6);
  assert.equal(seen(index, 6), undefined);
  assert.deepEqual(seen(index, 8), [8, 8, 0, 1]);
});

test("rows read at boot give the index that wrote them", () => {
  const index = new KeyIndex();
  // What a compaction at 5 left of: put 2, put 4, put 5, delete 7, put 9.
  index.restorePut(5, 1, { created: 2, version: 3 });
  index.restoreTombstone(7, 0);
  index.restorePut(9, 0, { created: 9, version: 1 });
  assert.deepEqual(seen(index, 6), [2, 5, 1, 3]);
  assert.equal(seen(index, 8), undefined);
  assert.deepEqual(seen(index, 9), [9, 9, 0, 1]);
  const orphan = new KeyIndex();
  orphan.restoreTombstone(7, 0);
  assert.equal(orphan.alive, false);
  assert.deepEqual(orphan.compact(8), { drops: "7.0", gone: true });
});

test("any history, compacted anywhere, answers as a list of all states does", () => {
  const steps = fc.array(fc.tuple(fc.boolean(), fc.boolean()), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(steps, fc.array(fc.nat(45), { maxLength: 4 }), (changes, floors) => {
      const index = new KeyIndex();
      const states: (number[] | undefined)[] = [undefined];
      let [main, sub] = [0, 0];
      for (const [deletes, sameRevision] of changes) {
        if (main === 0 || !sameRevision) [main, sub] = [main + 1, 0];
        else sub++;
        if (deletes && index.alive) index.tombstone(main, sub);
        else if (!deletes) index.put(main, sub);
        states[main] = seen(index, main);
      }
      for (const floor of floors.sort((a, b) => a - b)) {
        const gone = index.compact(floor).gone;
        if (gone) return assert.ok(states.slice(floor).every((state) => state === undefined));
        for (let at = floor; at < states.length; at++) {
          assert.deepEqual(seen(index, at), states[at], `at ${at} after compaction at ${floor}`);
        }
      }
    }),
  );
});
