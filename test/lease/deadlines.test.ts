// The heap of deadlines against a plain list.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LeaseId } from "../../src/base/brand.ts";
import { Prng } from "../../src/base/prng.ts";
import { Deadlines } from "../../src/lease/deadlines.ts";

const id = (n: number): LeaseId => LeaseId(BigInt(n));

test("due leases come in the order of their ends, each once", () => {
  const deadlines = new Deadlines();
  for (const [n, endMs] of [30, 10, 20].entries()) deadlines.set(id(n), endMs);
  assert.deepEqual(deadlines.takeDue(9, 9), []);
  assert.deepEqual(deadlines.takeDue(20, 1), [id(1)], "no more than asked for");
  assert.deepEqual(deadlines.takeDue(20, 9), [id(2)], "the end itself is due");
  assert.deepEqual(deadlines.takeDue(20, 9), [], "reported once");
  deadlines.putBack(id(1));
  deadlines.putBack(id(1));
  assert.deepEqual(deadlines.takeDue(20, 9), [id(1)], "until put back");
});

test("a renewed lease is not due at its old end", () => {
  const deadlines = new Deadlines();
  deadlines.set(id(1), 10);
  deadlines.set(id(1), 50);
  assert.deepEqual(deadlines.takeDue(49, 9), []);
  assert.deepEqual(deadlines.takeDue(50, 9), [id(1)]);
});

test("one that is gone, or granted anew while it is out, is as a new one", () => {
  const deadlines = new Deadlines();
  deadlines.set(id(1), 10);
  deadlines.takeDue(10, 9);
  deadlines.remove(id(1));
  deadlines.putBack(id(1));
  assert.equal(deadlines.count, 0);
  deadlines.set(id(1), 90);
  deadlines.putBack(id(1));
  assert.deepEqual(deadlines.takeDue(89, 9), []);
  assert.equal(deadlines.endMs(id(1)), 90);
});

test("random changes agree with a list", () => {
  const seed = Number(process.env.QUORLET_SEED ?? Date.now() % 1_000_000);
  const random = new Prng(seed);
  const deadlines = new Deadlines();
  const ends = new Map<LeaseId, { endMs: number; isOut: boolean }>();
  let nowMs = 0;
  for (let step = 0; step < 20_000; step++) {
    const lease = id(random.integer(200));
    const known = ends.get(lease);
    const choice = random.integer(10);
    if (choice < 6) {
      const endMs = nowMs + random.integer(500);
      deadlines.set(lease, endMs);
      ends.set(lease, { endMs, isOut: known?.isOut ?? false });
    } else if (choice === 6) {
      deadlines.remove(lease);
      ends.delete(lease);
    } else if (choice === 7) {
      deadlines.putBack(lease);
      if (known !== undefined) known.isOut = false;
    } else {
      nowMs += random.integer(20);
      const want = [...ends].filter(([, { endMs, isOut }]) => !isOut && endMs <= nowMs);
      const got = deadlines.takeDue(nowMs, 1_000);
      assert.deepEqual(new Set(got), new Set(want.map(([key]) => key)), `seed ${seed}, ${step}`);
      const gotEnds = got.map((key) => ends.get(key)?.endMs ?? 0);
      assert.deepEqual(
        gotEnds,
        [...gotEnds].sort((a, b) => a - b),
        `seed ${seed}, ${step}: order`,
      );
      for (const [, entry] of want) entry.isOut = true;
    }
    assert.equal(deadlines.count, ends.size);
  }
});
