// Rows in memory: pending, recent, evicted; places in slabs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Mistake } from "../../src/base/assert.ts";
import { noLease } from "../../src/base/brand.ts";
import { toLatin1 } from "../../src/base/bytes.ts";
import { RecentRows } from "../../src/mvcc/recentRows.ts";
import { pairOf, RowWriter, rowOfStored, rowValue } from "../../src/mvcc/row.ts";
import { bytes } from "./support.ts";

class Rows {
  readonly recent: RecentRows;
  readonly #writer = new RowWriter();

  constructor(budgetBytes: number, nextMain = 2) {
    this.recent = new RecentRows(nextMain, budgetBytes);
  }

  add(main: number, sub = 0): void {
    const head = { created: main, main, version: 1 };
    this.recent.append(
      main,
      sub,
      this.#writer.put(head, pairOf(bytes("key"), bytes(`${main}.${sub}`)), noLease),
    );
  }

  value(main: number, sub = 0): string | undefined {
    const row = this.recent.get(main, sub);
    return row && toLatin1(rowValue(row));
  }

  all(from = { main: 0, sub: 0 }): string {
    const found: string[] = [];
    this.recent.visit(from, (main, sub, stored) => {
      assert.equal(toLatin1(rowValue(rowOfStored(stored))), `${main}.${sub}`);
      return found.push(`${main}.${sub}`) > 0;
    });
    return found.join(" ");
  }

  flush(): void {
    this.recent.take();
    this.recent.flushed();
  }
}

test("rows are found by main and sub, and visited in order from anywhere", () => {
  const rows = new Rows(1e6);
  for (const [main, subs] of [
    [2, 1],
    [3, 3],
    [4, 1],
    [5, 2],
  ] as const) {
    for (let sub = 0; sub < subs; sub++) rows.add(main, sub);
  }
  assert.equal(rows.all(), "2.0 3.0 3.1 3.2 4.0 5.0 5.1");
  assert.equal(rows.all({ main: 3, sub: 1 }), "3.1 3.2 4.0 5.0 5.1");
  assert.equal(rows.all({ main: 3, sub: 9 }), "4.0 5.0 5.1");
  assert.equal(rows.value(3, 2), "3.2");
  assert.equal(rows.value(3, 3), undefined, "not a row of the next revision");
  assert.equal(rows.value(6), undefined);
  assert.equal(rows.value(1), undefined);
});

test("rings grow without losing a row", () => {
  const rows = new Rows(1e9);
  for (let main = 2; main < 6000; main++) {
    rows.add(main);
    if (main % 3 === 0) rows.add(main, 1);
  }
  for (let main = 2; main < 6000; main++) assert.equal(rows.value(main), `${main}.0`);
  assert.equal(rows.value(5997, 1), "5997.1");
});

test("written rows are evicted, oldest first, down to the budget; waiting ones never", () => {
  const budgetBytes = 1000;
  const rows = new Rows(budgetBytes);
  for (let main = 2; main < 3000; main++) rows.add(main);
  assert.ok(rows.recent.bytes > budgetBytes);
  assert.equal(rows.recent.first, 2);
  rows.recent.take();
  rows.add(3000);
  rows.recent.flushed();
  assert.ok(rows.recent.bytes - rows.recent.pendingBytes <= budgetBytes);
  assert.ok(rows.recent.bytes - rows.recent.pendingBytes > budgetBytes / 2, "not more than needed");
  assert.equal(rows.value(3000), "3000.0", "the waiting row is there");
  assert.equal(rows.value(rows.recent.first), `${rows.recent.first}.0`);
  assert.equal(rows.value(rows.recent.first - 1), undefined);
  assert.equal(rows.recent.waitingRows, 1);
});

test("rings wrap around for ever", () => {
  const rows = new Rows(500, 2 ** 31 - 2000);
  for (let main = 2 ** 31 - 2000; main < 2 ** 31 + 2000; main++) {
    rows.add(main);
    if (main % 7 === 0) rows.flush();
    assert.equal(rows.value(main), `${main}.0`);
  }
  assert.ok(rows.recent.bytes < 2000);
});

test("a compacted row is forgotten while it waits; once taken it is the engine's to delete", () => {
  const rows = new Rows(1e6);
  rows.add(2);
  rows.recent.take();
  rows.add(3);
  rows.add(3, 1);
  const before = rows.recent.pendingBytes;
  assert.equal(rows.recent.drop(2, 0), false, "part of the batch under way");
  assert.equal(rows.recent.drop(3, 0), true);
  assert.equal(rows.recent.drop(3, 0), true, "again");
  assert.equal(rows.recent.waitingRows, 1);
  assert.ok(rows.recent.pendingBytes < before);
  assert.equal(rows.all(), "2.0 3.1");
  rows.recent.flushed();
  rows.flush();
  assert.equal(rows.recent.pendingBytes, 0);
  assert.equal(rows.recent.drop(3, 1), false);
});

test("one batch at a time, and no gaps", () => {
  const rows = new Rows(1e6);
  rows.add(2);
  rows.recent.take();
  assert.throws(() => rows.recent.take(), Mistake);
  assert.throws(() => rows.add(4), Mistake, "a revision is missing");
  const others = new Rows(1e6);
  others.add(2);
  assert.throws(() => others.add(2, 2), Mistake, "a sub is missing");
});
