// Random KV messages: in our shape, and as the fields that protobufjs takes for the same message.
import fc from "fast-check";
import { LeaseId } from "../../src/base/brand.ts";
import { encodeKeyValue } from "../../src/proto/keyValue.ts";
import type {
  CompactionRequest,
  Compare,
  DeleteRangeRequest,
  KeyValue,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from "../../src/proto/kv.ts";
import type {
  DeleteRangeAnswer,
  OpAnswer,
  PutAnswer,
  RangeAnswer,
  TxnAnswer,
} from "../../src/proto/responses.ts";

type Fields = Record<string, unknown>;

const int64Min = -(2n ** 63n);
const int64Max = 2n ** 63n - 1n;
const bytes = fc.uint8Array({ maxLength: 40 });
const integer = fc.oneof(fc.integer(), fc.maxSafeInteger(), fc.constant(0));
const counter = fc.oneof(fc.nat(), fc.maxSafeNat(), fc.constant(0));
const lease = fc
  .oneof(fc.constant(0n), fc.bigInt(1n, 2n ** 31n), fc.bigInt(int64Min, int64Max))
  .map(LeaseId);
const enumNumber = fc.oneof(fc.nat(5), fc.integer());

export const pairs: fc.Arbitrary<KeyValue> = fc.record({
  key: bytes,
  createRevision: counter,
  modRevision: counter,
  version: counter,
  value: fc.uint8Array({ maxLength: 400 }),
  lease,
});

export const rangeRequests: fc.Arbitrary<RangeRequest> = fc.record({
  key: bytes,
  rangeEnd: bytes,
  limit: integer,
  revision: integer,
  sortOrder: enumNumber,
  sortTarget: enumNumber,
  serializable: fc.boolean(),
  keysOnly: fc.boolean(),
  countOnly: fc.boolean(),
  minModRevision: integer,
  maxModRevision: integer,
  minCreateRevision: integer,
  maxCreateRevision: integer,
});

export const putRequests: fc.Arbitrary<PutRequest> = fc.record({
  key: bytes,
  value: bytes,
  lease,
  prevKv: fc.boolean(),
  ignoreValue: fc.boolean(),
  ignoreLease: fc.boolean(),
});

export const deleteRangeRequests: fc.Arbitrary<DeleteRangeRequest> = fc.record({
  key: bytes,
  rangeEnd: bytes,
  prevKv: fc.boolean(),
});

export const compactionRequests: fc.Arbitrary<CompactionRequest> = fc.record({
  revision: integer,
  physical: fc.boolean(),
});

const compares: fc.Arbitrary<Compare> = fc.record({
  result: enumNumber,
  target: enumNumber,
  key: bytes,
  rangeEnd: bytes,
  operand: fc.oneof(
    fc.constant(undefined),
    fc.record({ kind: fc.constantFrom("version", "create", "mod"), value: integer }),
    fc.record({ kind: fc.constant("lease"), value: lease }),
    fc.record({ kind: fc.constant("value"), value: bytes }),
  ),
});

export const { txn: txnRequests } = fc.letrec<{ txn: TxnRequest; op: RequestOp }>((tie) => ({
  txn: fc.record({
    compare: fc.array(compares, { maxLength: 3 }),
    success: fc.array(tie("op"), { maxLength: 3 }),
    failure: fc.array(tie("op"), { maxLength: 2 }),
  }),
  op: fc.oneof(
    { maxDepth: 3 },
    fc.record({ kind: fc.constant("range"), request: rangeRequests }),
    fc.record({ kind: fc.constant("put"), request: putRequests }),
    fc.record({ kind: fc.constant("deleteRange"), request: deleteRangeRequests }),
    fc.record({ kind: fc.constant("none") }),
    fc.record({ kind: fc.constant("txn"), request: tie("txn") }),
  ),
}));

const rows = fc.array(pairs.map(encodeKeyValue), { maxLength: 4 });

export const rangeAnswers: fc.Arbitrary<RangeAnswer> = fc.record({
  kind: fc.constant("range"),
  revision: counter,
  rows,
  more: fc.boolean(),
  count: counter,
});

export const putAnswers: fc.Arbitrary<PutAnswer> = fc.record({
  kind: fc.constant("put"),
  revision: counter,
  prevRow: fc.option(pairs.map(encodeKeyValue), { nil: undefined }),
});

export const deleteRangeAnswers: fc.Arbitrary<DeleteRangeAnswer> = fc.record({
  kind: fc.constant("deleteRange"),
  revision: counter,
  deleted: counter,
  prevRows: rows,
});

export const { txn: txnAnswers } = fc.letrec<{ txn: TxnAnswer; op: OpAnswer }>((tie) => ({
  txn: fc.record({
    kind: fc.constant("txn"),
    revision: counter,
    succeeded: fc.boolean(),
    results: fc.array(tie("op"), { maxLength: 3 }),
  }),
  op: fc.oneof({ maxDepth: 3 }, rangeAnswers, putAnswers, deleteRangeAnswers, tie("txn")),
}));

export const headerIds = fc.record({
  clusterId: fc.bigInt(0n, 2n ** 64n - 1n),
  memberId: fc.bigInt(0n, 2n ** 64n - 1n),
  raftTerm: counter,
});

/** Fields without the zero ones, which proto3 leaves away. */
function fields(all: Fields): Fields {
  return Object.fromEntries(Object.entries(all).filter(([, value]) => !isZero(value)));
}

function isZero(value: unknown): boolean {
  if (value instanceof Uint8Array || Array.isArray(value)) return value.length === 0;
  return value === 0 || value === false || value === "0" || value === undefined;
}

export function pairFields(pair: KeyValue): Fields {
  return fields({
    key: pair.key,
    create_revision: pair.createRevision,
    mod_revision: pair.modRevision,
    version: pair.version,
    value: pair.value,
    lease: pair.lease.toString(),
  });
}

export function rangeFields(request: RangeRequest): Fields {
  return fields({
    key: request.key,
    range_end: request.rangeEnd,
    limit: request.limit,
    revision: request.revision,
    sort_order: request.sortOrder,
    sort_target: request.sortTarget,
    serializable: request.serializable,
    keys_only: request.keysOnly,
    count_only: request.countOnly,
    min_mod_revision: request.minModRevision,
    max_mod_revision: request.maxModRevision,
    min_create_revision: request.minCreateRevision,
    max_create_revision: request.maxCreateRevision,
  });
}

export function putFields(request: PutRequest): Fields {
  return fields({
    key: request.key,
    value: request.value,
    lease: request.lease.toString(),
    prev_kv: request.prevKv,
    ignore_value: request.ignoreValue,
    ignore_lease: request.ignoreLease,
  });
}

export function deleteRangeFields(request: DeleteRangeRequest): Fields {
  return fields({ key: request.key, range_end: request.rangeEnd, prev_kv: request.prevKv });
}

export function compactionFields(request: CompactionRequest): Fields {
  return fields({ revision: request.revision, physical: request.physical });
}

export function txnFields(request: TxnRequest): Fields {
  return {
    compare: request.compare.map(compareFields),
    success: request.success.map(opFields),
    failure: request.failure.map(opFields),
  };
}

const operandNames = {
  version: "version",
  create: "create_revision",
  mod: "mod_revision",
  value: "value",
  lease: "lease",
} as const;

function compareFields(compare: Compare): Fields {
  const { operand, result, target, key, rangeEnd } = compare;
  const common = fields({ result, target, key, range_end: rangeEnd });
  if (operand === undefined) return common;
  const value = operand.kind === "lease" ? operand.value.toString() : operand.value;
  return { ...common, [operandNames[operand.kind]]: value };
}

function opFields(op: RequestOp): Fields {
  switch (op.kind) {
    case "range":
      return { request_range: rangeFields(op.request) };
    case "put":
      return { request_put: putFields(op.request) };
    case "deleteRange":
      return { request_delete_range: deleteRangeFields(op.request) };
    case "txn":
      return { request_txn: txnFields(op.request) };
    case "none":
      return {};
  }
}
