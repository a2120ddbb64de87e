// Random commands, reads, batches, sweeps and crashes against the naive model.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EtcdError } from "../../src/base/errors.ts";
import type { Compare, PutRequest, RangeRequest, RequestOp } from "../../src/proto/kv.ts";
import { bytes } from "../mvcc/support.ts";
import { Model } from "./model.ts";
import {
  command,
  compareOf,
  deleteOf,
  leasesOf,
  Machine,
  putOf,
  rangeOf,
  show,
  txnOf,
} from "./support.ts";

const seed = process.env.QUORLET_SEED === undefined ? undefined : Number(process.env.QUORLET_SEED);
const leaseIds = [7n, -8n];

/** What happens to both. Revisions are chosen relative to the current one, so that they often fit. */
type Act =
  | { readonly kind: "put"; readonly request: PutRequest }
  | { readonly kind: "delete"; readonly request: ReturnType<typeof deleteOf> }
  | { readonly kind: "range"; readonly request: RangeRequest; readonly back: Back }
  | { readonly kind: "txn"; readonly request: ReturnType<typeof txnOf> }
  | { readonly kind: "compact"; readonly back: number }
  | { readonly kind: "submit" | "complete" | "restart" | "sweep" };

/** Subtracted from the current revision for each field; undefined leaves it 0. */
type Back = Readonly<Partial<Record<"revision" | "min" | "max" | "minCreate", number>>>;

const key = fc.constantFrom("a", "b", "b\0", "c", "d", "\xff");
const end = fc.constantFrom("", "", "\0", "b", "c", "d", "\xff");
const value = fc.constantFrom("", "1", "2", "3", "\xff");
const lease = fc.constantFrom(0n, 0n, 0n, 7n, -8n, 404n);
const rarely = fc.nat(5).map((n) => n === 0);

const put = fc
  .tuple(key, value, lease, fc.boolean(), rarely, rarely)
  .map(([k, v, l, prevKv, ignoreValue, ignoreLease]) =>
    putOf(k, v, { lease: l, prevKv, ignoreValue, ignoreLease }),
  );
const deletion = fc.tuple(key, end, fc.boolean()).map((args) => deleteOf(...args));
const back: fc.Arbitrary<Back> = fc.record(
  {
    revision: fc.integer({ min: -2, max: 30 }),
    min: fc.nat(30),
    max: fc.nat(30),
    minCreate: fc.nat(30),
  },
  { requiredKeys: [] },
);
const range = fc
  .tuple(key, end, fc.integer({ min: -1, max: 4 }), fc.nat(2), fc.nat(4), rarely, rarely)
  .map(([k, e, limit, sortOrder, sortTarget, keysOnly, countOnly]) =>
    rangeOf(k, e, { limit, sortOrder, sortTarget, keysOnly, countOnly }),
  );

const operand: fc.Arbitrary<Compare["operand"]> = fc.oneof(
  fc.constant(undefined),
  fc.record({ kind: fc.constantFrom("version", "create", "mod"), value: fc.nat(12) }),
  fc.record({
    kind: fc.constant("lease" as const),
    value: lease.map((id) => putOf("", "", { lease: id }).lease),
  }),
  fc.record({ kind: fc.constant("value" as const), value: value.map(bytes) }),
);
const guard = fc
  .tuple(key, fc.nat(4), fc.nat(3), operand, end)
  .map(([k, target, result, o, e]) => compareOf(k, { target, result, operand: o, end: e }));

/** Explicit revisions within a txn: past, current, its own, negative. */
const txnRange = fc
  .tuple(range, fc.constantFrom(0, 0, 0, 1, 2, 5, 20, 1000, -1))
  .map(([request, revision]) => ({ ...request, revision }));
const { txn } = fc.letrec<{ txn: ReturnType<typeof txnOf>; op: RequestOp }>((tie) => ({
  txn: fc
    .tuple(
      fc.array(guard, { maxLength: 2 }),
      fc.array(tie("op"), { maxLength: 3 }),
      fc.array(tie("op"), { maxLength: 3 }),
    )
    .map((args) => txnOf(...args)),
  op: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    put.map((request) => ({ kind: "put" as const, request })),
    deletion.map((request) => ({ kind: "deleteRange" as const, request })),
    txnRange.map((request) => ({ kind: "range" as const, request })),
    tie("txn").map((request) => ({ kind: "txn" as const, request })),
  ),
}));

const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 6, arbitrary: put.map((request) => ({ kind: "put" as const, request })) },
  { weight: 2, arbitrary: deletion.map((request) => ({ kind: "delete" as const, request })) },
  { weight: 4, arbitrary: txn.map((request) => ({ kind: "txn" as const, request })) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("range" as const), request: range, back }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("compact" as const),
      back: fc.integer({ min: -1, max: 12 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom("submit", "complete", "restart", "sweep") }),
  },
);

test("any run of the applier answers as the model does", () => {
  fc.assert(
    fc.property(
      fc.array(act, { maxLength: 80, size: "max" }),
      fc.constantFrom(0, 300, 1e6),
      (acts, cacheBytes) => {
        const model = new Model(leaseIds);
        const machine = new Machine({ leases: leasesOf(...leaseIds), recentBytesMax: cacheBytes });
        for (const [i, one] of acts.entries()) step(model, machine, one, `act ${i}, ${one.kind}`);
        checkHistory(model, machine);
        machine.restart();
        checkHistory(model, machine);
      },
    ),
    { numRuns: 200, ...(seed === undefined ? {} : { seed }) },
  );
});

function step(model: Model, machine: Machine, one: Act, where: string): void {
  switch (one.kind) {
    case "put": {
      const { request } = one;
      const fields = { ...request, lease: request.lease as bigint };
      const [k, v] = [request.key, request.value].map((part) =>
        Buffer.from(part).toString("latin1"),
      );
      assert.equal(
        show(machine.do(command.put(k ?? "", v, fieldsOf(fields)))),
        model.put(request),
        where,
      );
      break;
    }
    case "delete": {
      const [k, e] = [one.request.key, one.request.rangeEnd].map((part) =>
        Buffer.from(part).toString("latin1"),
      );
      const got = show(machine.do(command.delete(k ?? "", e, one.request.prevKv)));
      assert.equal(got, model.deleteRange(one.request), where);
      break;
    }
    case "txn": {
      const { compare, success, failure } = one.request;
      assert.equal(
        show(machine.do(command.txn(compare, success, failure))),
        model.txn(one.request),
        where,
      );
      break;
    }
    case "range": {
      const request = placed(one.request, one.back, model.revision);
      assert.equal(read(machine, request), model.range(request), where);
      break;
    }
    case "compact": {
      const revision = model.revision - one.back;
      assert.equal(show(machine.do(command.compact(revision))), model.compact(revision), where);
      break;
    }
    case "submit":
      machine.disk.complete();
      machine.submit();
      break;
    case "complete":
      machine.disk.complete();
      break;
    case "restart":
      machine.restart();
      break;
    case "sweep":
      machine.applier.sweep(5);
  }
}

function fieldsOf({
  lease: id,
  prevKv,
  ignoreValue,
  ignoreLease,
}: Omit<PutRequest, "lease"> & { lease: bigint }) {
  return { lease: id, prevKv, ignoreValue, ignoreLease };
}

function placed(request: RangeRequest, from: Back, revision: number): RangeRequest {
  const place = (distance: number | undefined): number =>
    distance === undefined ? 0 : revision - distance;
  return {
    ...request,
    revision: place(from.revision),
    minModRevision: place(from.min),
    maxModRevision: place(from.max),
    minCreateRevision: place(from.minCreate),
  };
}

function read(machine: Machine, request: RangeRequest): string {
  try {
    return show(machine.applier.range(request));
  } catch (error) {
    if (!(error instanceof EtcdError)) throw error;
    return show({ kind: "refused", error });
  }
}

/** Every readable revision, as a whole and counted. */
function checkHistory(model: Model, machine: Machine): void {
  assert.equal(machine.applier.revision, model.revision);
  for (let revision = 1; revision <= model.revision; revision++) {
    for (const countOnly of [false, true]) {
      const request = rangeOf("\0", "\0", { revision, countOnly });
      assert.equal(read(machine, request), model.range(request), `history at ${revision}`);
    }
  }
}
