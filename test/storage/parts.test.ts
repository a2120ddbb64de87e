// The small parts of the storage room: checksums, the sync switch, the entry index, recent entries.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { crc32c, joinedCrc32c } from "../../src/base/crc.ts";
import { EntryIndex } from "../../src/storage/entryIndex.ts";
import { RecentEntries } from "../../src/storage/recentEntries.ts";
import { SyncMode } from "../../src/storage/syncMode.ts";
import { entry } from "./logFixture.ts";

test("crc32c gives the published values", () => {
  // RFC 3720, appendix B.4.
  const ascending = Uint8Array.from({ length: 32 }, (_, i) => i);
  const rows = [
    { bytes: new Uint8Array(0), want: 0 },
    { bytes: Buffer.from("123456789"), want: 0xe3069283 },
    { bytes: new Uint8Array(32), want: 0x8a9136aa },
    { bytes: new Uint8Array(32).fill(255), want: 0x62a8ab43 },
    { bytes: ascending, want: 0x46dd794e },
    { bytes: ascending.toReversed(), want: 0x113fdb5c },
  ];
  for (const { bytes, want } of rows) assert.equal(crc32c(bytes), want);
});

test("crc32c is the same by table and by native code, whole and in parts", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 700 }), fc.nat(), fc.nat(), (bytes, a, b) => {
      const [from, to] = [a % (bytes.length + 1), b % (bytes.length + 1)].sort((x, y) => x - y);
      assert.ok(from !== undefined && to !== undefined);
      let bitwise = ~0;
      for (const byte of bytes.subarray(from, to)) {
        bitwise ^= byte;
        for (let i = 0; i < 8; i++) bitwise = (bitwise >>> 1) ^ (bitwise & 1 ? 0x82f63b78 : 0);
      }
      assert.equal(crc32c(bytes, from, to), ~bitwise >>> 0);
      assert.equal(crc32c(bytes, from, bytes.length, crc32c(bytes, 0, from)), crc32c(bytes));
      const [head, rest] = [crc32c(bytes, 0, from), crc32c(bytes, from)];
      const restBytes = bytes.length - from;
      assert.equal(joinedCrc32c(head, rest, restBytes), crc32c(bytes));
      assert.equal(joinedCrc32c(head, crc32c(bytes), restBytes), rest);
    }),
  );
});

test("SyncMode stays where it is forced to", () => {
  for (const where of ["inline", "pooled"] as const) {
    const mode = new SyncMode(where);
    for (let i = 0; i < 3000; i++) {
      assert.equal(mode.next(), where);
      mode.measured(i % 2 ? 0.01 : 100);
    }
  }
});

test("SyncMode takes one stall for a stall", () => {
  const mode = new SyncMode("auto");
  for (let i = 0; i < 100; i++) mode.measured(0.1);
  mode.measured(5000);
  assert.equal(mode.next(), "inline");
  for (let i = 0; i < 100; i++) mode.measured(0.1);
  assert.equal(mode.next(), "inline");
});

/** Makes `syncs` of them; inline ones take `inlineMs`. @returns how many were made inline. */
function run(mode: SyncMode, syncs: number, inlineMs: (inline: number) => number): number {
  let inline = 0;
  for (let i = 0; i < syncs; i++) {
    if (mode.next() === "inline") mode.measured(inlineMs(inline++));
  }
  return inline;
}

test("SyncMode keeps to the pool on a disk of medium speed, and probes seldom", () => {
  const mode = new SyncMode("auto");
  run(mode, 100, () => 3);
  const probes = run(mode, 10_000, () => 1);
  assert.ok(probes >= 39 && probes <= 40, `${probes} inline`);
});

test("SyncMode is not drawn back by one fast probe, but by several", () => {
  const mode = new SyncMode("auto");
  run(mode, 100, () => 3);
  const mixed = run(mode, 10_000, (inline) => (inline % 3 === 0 ? 0.1 : 3));
  assert.ok(mixed <= 40, `${mixed} inline`);
  run(mode, 2_560, () => 0.1);
  assert.equal(
    run(mode, 100, () => 0.1),
    100,
  );
});

test("EntryIndex agrees with a plain list", () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ push: fc.integer({ min: 1, max: 900 }), term: fc.integer({ min: 0, max: 3 }) }),
      fc.record({ truncate: fc.nat({ max: 50 }) }),
      fc.record({ drop: fc.nat({ max: 600 }) }),
    ),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(steps, (list) => {
      const index = new EntryIndex();
      const model: { term: number; sequence: number; offset: number }[] = [];
      let first = 1;
      let term = 0;
      let written = 0;
      for (const step of list) {
        if ("push" in step) {
          term += step.term;
          for (let i = 0; i < step.push; i++) {
            const place = { sequence: Math.floor(written / 500), offset: (written++ % 500) * 8 };
            index.push(term, place);
            model.push({ term, ...place });
          }
        } else if ("truncate" in step) {
          const keep = Math.max(0, model.length - step.truncate);
          index.truncateFrom(first + keep);
          model.length = keep;
        } else {
          const drop = Math.min(step.drop, model.length);
          index.dropBefore(first + drop);
          model.splice(0, drop);
          first += drop;
        }
        assert.equal(index.first, first);
        assert.equal(index.next, first + model.length);
        for (const [i, want] of model.entries()) {
          const got = { term: index.term(first + i), ...index.place(first + i) };
          assert.deepEqual(got, want);
        }
      }
    }),
    { numRuns: 60 },
  );
});

test("RecentEntries keeps the newest within its bound", () => {
  const recent = new RecentEntries(10 * (128 + 100));
  for (let i = 1; i <= 1000; i++) recent.push(entry(i, 1, 100));
  assert.equal(recent.get(990), undefined);
  for (let i = 991; i <= 1000; i++) assert.equal(recent.get(i)?.index, i);
  assert.equal(recent.get(1001), undefined);
  recent.push(entry(995, 2, 100));
  assert.equal(recent.get(995)?.term, 2);
  assert.equal(recent.get(996), undefined);
  recent.dropBefore(995);
  assert.equal(recent.get(994), undefined);
  assert.equal(recent.get(995)?.term, 2);
  recent.push(entry(996, 2, 100_000));
  assert.equal(recent.get(995), undefined, "one large entry drives out the others");
  assert.equal(recent.get(996)?.index, 996, "but stays itself");
  recent.clear();
  assert.equal(recent.get(996), undefined);
});

test("RecentEntries gives the objects that were put in", () => {
  const recent = new RecentEntries(1000);
  const given = entry(5);
  recent.push(given);
  assert.equal(recent.get(5), given);
});
