// Order and bytes of revisions.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Revision } from "../../src/base/brand.ts";
import { compareBytes } from "../../src/base/bytes.ts";
import {
  compareRevisions,
  mainOfKey,
  type RevisionPair,
  revisionKey,
  revisionKeyBytes,
  subOfKey,
} from "../../src/mvcc/revision.ts";

const ascending: readonly RevisionPair[] = [
  { main: Revision(0), sub: 0 },
  { main: Revision(1), sub: 0 },
  { main: Revision(1), sub: 1 },
  { main: Revision(1), sub: 256 },
  { main: Revision(2), sub: 0 },
  { main: Revision(2 ** 31), sub: 3 },
  { main: Revision(2 ** 32), sub: 0 },
  { main: Revision(2 ** 32 + 1), sub: 2 ** 32 - 1 },
  { main: Revision(Number.MAX_SAFE_INTEGER), sub: 0 },
];

test("a revision survives its key, which sorts as the revision does", () => {
  for (const [i, a] of ascending.entries()) {
    const key = revisionKey(a);
    assert.equal(key.length, revisionKeyBytes);
    assert.deepEqual({ main: mainOfKey(key), sub: subOfKey(key) }, a);
    for (const [j, b] of ascending.entries()) {
      const want = Math.sign(i - j);
      assert.equal(Math.sign(compareRevisions(a, b)), want, `revisions ${i} and ${j}`);
      assert.equal(Math.sign(compareBytes(key, revisionKey(b))), want, `keys ${i} and ${j}`);
    }
  }
});
