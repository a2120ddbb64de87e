// Ranges that are read in steps: what they tell is what one read at their revision tells.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  beginRange,
  bytesAtOnce,
  bytesPerStep,
  keysPerStep,
  LongRange,
  longRangeKeys,
  restartsMax,
} from "../../src/apply/longRange.ts";
import type { LongRangeResult } from "../../src/apply/outcome.ts";
import { range } from "../../src/apply/range.ts";
import { Prng } from "../../src/base/prng.ts";
import { encodeHeaderIds, encodeRangeResponse } from "../../src/proto/encodeResponses.ts";
import type { RangeRequest } from "../../src/proto/kv.ts";
import { encodeRangeParts } from "../../src/proto/rangeParts.ts";
import { Writer } from "../../src/proto/writer.ts";
import { bytes, query, StoreHarness } from "../mvcc/support.ts";

const keyCount = longRangeKeys + 3 * keysPerStep;
const seed = Number(process.env.QUORLET_SEED ?? 1);
const keyOf = (i: number): string => `k${String(i).padStart(6, "0")}`;

function filled(): StoreHarness {
  const harness = new StoreHarness();
  for (let i = 0; i < keyCount; i++) harness.put(keyOf(i), `${i}`);
  return harness;
}

const ask = (fields: Partial<RangeRequest> = {}): RangeRequest => ({
  ...query({ from: "k", to: "l" }),
  serializable: false,
  ...fields,
});

const unbounded = Number.POSITIVE_INFINITY;

function begun(harness: StoreHarness, request: RangeRequest, bytesMax = unbounded): LongRange {
  const long = LongRange.of(harness.store, request, { bytesMax });
  assert.ok(long);
  return long;
}

/** @param between what happens before each step but the first. */
function read(
  long: LongRange,
  harness: StoreHarness,
  between: (step: number) => void = () => {},
): { readonly result: LongRangeResult; readonly steps: number } {
  for (let steps = 1; ; steps++) {
    const result = long.step(harness.store);
    if (result !== undefined) return { result, steps };
    between(steps);
  }
}

const writer = new Writer();
const header = { ids: encodeHeaderIds(1n, 2n), revision: 3, raftTerm: 4 };

/** The bytes of both answers are the same. */
function assertTells(result: LongRangeResult, want: ReturnType<typeof range>): void {
  const expected = Buffer.from(encodeRangeResponse(writer, header, want));
  const got = Buffer.concat(encodeRangeParts(writer, header, result));
  assert.ok(got.equals(expected), `${got.length} bytes, not ${expected.length}`);
  assert.equal(result.rowCount, want.rows.length);
  assert.equal(result.revision, want.revision);
}

test("a range over many keys tells its revision, whatever is written between its steps", (t) => {
  t.diagnostic(`seed ${seed}`);
  const random = new Prng(seed);
  const harness = filled();
  for (const fields of [{}, { keysOnly: true }, { limit: longRangeKeys + 7 }, { limit: 10 ** 9 }]) {
    const request = ask(fields);
    const want = range(harness.store, request);
    const { result, steps } = read(begun(harness, request), harness, () => {
      for (let i = 0; i < 200; i++) {
        const key = keyOf(random.integer(2 * keyCount));
        if (random.oneIn(3)) harness.delete(key);
        else harness.put(key, `later ${i}`);
      }
    });
    assertTells(result, want);
    assert.ok(steps > 1, `${steps} steps`);
    assert.ok(result.rowCount > keysPerStep);
    assert.ok(result.parts.every((part) => part.length < 2 * bytesPerStep));
  }
});

test("a range whose past is compacted tells a later moment; it is not put off for ever", () => {
  const harness = filled();
  const compact = (): void => {
    harness.put(keyOf(0), "again");
    harness.delete(keyOf(1));
    harness.put(keyOf(1), "again");
    assert.equal(harness.store.compact(harness.store.revision), undefined);
    harness.sweepAll();
  };
  let want: ReturnType<typeof range> | undefined;
  const once = read(begun(harness, ask()), harness, (step) => {
    if (step === 2) compact();
    want ??= step === 2 ? range(harness.store, ask()) : undefined;
  });
  assert.ok(want);
  assertTells(once.result, want);
  const always = read(begun(harness, ask()), harness, compact);
  const encodings = Math.ceil(keyCount / keysPerStep);
  assert.equal(always.steps, restartsMax + 1 + encodings);
  assert.equal(always.result.parts.filter((part) => part.length > 0).length, encodings);
  assert.equal(always.result.count, keyCount);
  assert.equal(always.result.rowCount, keyCount);
});

test("a range is refused in the step that passes the bound, also when it is late", () => {
  const harness = filled();
  const value = "v".repeat(1_000);
  for (let i = 0; i < keyCount; i++) harness.put(keyOf(i), value);
  const steps = 2 * Math.ceil(bytesPerStep / (keysPerStep * 1_000));
  const bytesMax = steps * keysPerStep * 1_000;
  const rejected = {
    code: 8,
    message: /^grpc: trying to send message larger than max \(\d+ vs\. /,
  };
  const bounded = begun(harness, ask(), bytesMax);
  for (let i = 0; i + 1 < steps; i++) assert.equal(bounded.step(harness.store), undefined);
  assert.throws(() => bounded.step(harness.store), rejected);
  const late = begun(harness, ask(), bytesMax);
  let lateSteps = 0;
  const again = (): void => {
    for (; lateSteps < 10 * restartsMax; lateSteps++) {
      late.step(harness.store);
      harness.put(keyOf(0), value);
      assert.equal(harness.store.compact(harness.store.revision), undefined);
    }
  };
  assert.throws(again, rejected);
  assert.equal(lateSteps, restartsMax, "reading at once ends at the bound");
  const keys = begun(harness, ask({ keysOnly: true }), bytesMax);
  assertTells(read(keys, harness).result, range(harness.store, ask({ keysOnly: true })));
});

test("dead keys within a range cost steps by their number, not one each", () => {
  const harness = filled();
  const dead = 5 * keysPerStep;
  for (let i = 0; i < dead; i++) harness.put(`kx${i}`);
  for (let i = 0; i < dead; i++) harness.delete(`kx${i}`);
  harness.put("kz");
  const { result, steps } = read(begun(harness, ask()), harness);
  assertTells(result, range(harness.store, ask()));
  assert.ok(steps <= 2 + (keyCount + dead) / keysPerStep, `${steps} steps`);
});

test("a step over large values ends by their bytes", () => {
  const harness = filled();
  for (let i = 0; i < 8; i++) harness.put(keyOf(i), "v".repeat(bytesPerStep / 2));
  const { result, steps } = read(begun(harness, ask()), harness);
  assertTells(result, range(harness.store, ask()));
  assert.ok(steps >= 4 + (keyCount - 8) / keysPerStep, `${steps} steps`);
});

test("a range goes on in the store that took the place of its own", () => {
  const [harness, other] = [filled(), filled()];
  for (let i = 0; i < 100; i++) other.delete(keyOf(i));
  const long = begun(harness, ask());
  assert.equal(long.step(harness.store), undefined);
  assertTells(read(long, other).result, range(other.store, ask()));
});

test("what is short, of the past, filtered or sorted is no long range", () => {
  const harness = filled();
  const rows: readonly Partial<RangeRequest>[] = [
    { rangeEnd: new Uint8Array() },
    { rangeEnd: bytes(keyOf(longRangeKeys - 1)) },
    { limit: longRangeKeys - 1 },
    { countOnly: true },
    { revision: 5 },
    { minModRevision: 5 },
    { sortOrder: 2 },
    { sortTarget: 3 },
  ];
  for (const fields of rows) {
    assert.equal(
      LongRange.of(harness.store, ask(fields), { bytesMax: unbounded }),
      undefined,
      JSON.stringify(fields),
    );
  }
});

test("a range over few keys is read in steps when its rows are long", () => {
  const harness = new StoreHarness();
  const valueBytes = bytesPerStep / 4;
  const rowsAtOnce = Math.floor(bytesAtOnce / (valueBytes + 100));
  for (let i = 0; i < 4 * rowsAtOnce; i++) harness.put(keyOf(i), "v".repeat(valueBytes));
  const begin = (fields: Partial<RangeRequest>, bytesMax = unbounded) =>
    beginRange(harness.store, ask(fields), bytesMax);
  for (const fields of [{}, { limit: 2 * rowsAtOnce }]) {
    const long = begin(fields);
    assert.ok(long instanceof LongRange);
    const { result, steps } = read(long, harness);
    assertTells(result, range(harness.store, ask(fields)));
    assert.equal(steps, Math.ceil(result.rowCount / 4));
  }
  const short = [{ limit: rowsAtOnce }, { keysOnly: true }, { countOnly: true }, { sortOrder: 2 }];
  for (const fields of short)
    assert.deepEqual(begin(fields), range(harness.store, ask(fields)), JSON.stringify(fields));
  const long = begin({}, 2 * bytesAtOnce);
  assert.ok(long instanceof LongRange);
  const rejected = { code: 8, message: /^grpc: trying to send message larger than max / };
  assert.throws(() => read(long, harness), rejected);
  assert.throws(() => begin({}, bytesAtOnce), rejected);
  assert.throws(() => begin({ sortOrder: 2 }, 2 * bytesAtOnce), rejected);
});
