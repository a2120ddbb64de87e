// The judge of the differential test is judged: it sees every field, and forgives only ties.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  canonicalAnswer,
  encodingFault,
  isPlainlySame,
  responseTypeOf,
} from "../support/kvCompare.ts";
import { KvGenerator, type KvMethod, type KvRequest } from "../support/kvGenerator.ts";
import { encodeMessage } from "../support/messages.ts";
import type { WireAnswer } from "../support/wireClient.ts";

const header = { cluster_id: "1", member_id: "2", revision: 9, raft_term: "3" };
const [a, b, c] = ["a", "b", "c"].map((key) => ({
  key: Buffer.from(key),
  create_revision: 2,
  mod_revision: 3,
  version: 2,
  value: Buffer.from("v"),
  lease: 7,
}));

test("answers that differ in one field differ", () => {
  const rows: readonly { method: KvMethod; one: object; two: object; why: string }[] = [
    {
      method: "Put",
      one: { header },
      two: { header: { ...header, revision: 8 } },
      why: "revision",
    },
    { method: "Put", one: { header }, two: { header: { revision: 9 } }, why: "ids left out" },
    { method: "Put", one: { header }, two: { header, prev_kv: {} }, why: "empty and absent pair" },
    { method: "Put", one: { prev_kv: a }, two: { prev_kv: { ...a, lease: 8 } }, why: "lease" },
    { method: "Range", one: { kvs: [a, b] }, two: { kvs: [b, a] }, why: "order of keys" },
    { method: "Range", one: { kvs: [a] }, two: { kvs: [a], more: true }, why: "more" },
    { method: "Range", one: { count: 1 }, two: { count: 2 }, why: "count" },
    { method: "DeleteRange", one: { deleted: 1 }, two: { deleted: 2 }, why: "deleted" },
    { method: "DeleteRange", one: { prev_kvs: [a] }, two: { prev_kvs: [] }, why: "prev_kvs" },
    { method: "Txn", one: { succeeded: true }, two: {}, why: "succeeded" },
    { method: "Txn", one: put({ header }), two: put({}), why: "ids in a nested header" },
  ];
  for (const { method, one, two, why } of rows) {
    const request = requestOf(method, {});
    const texts = [one, two].map((fields) => canonicalAnswer(request, answerOf(method, fields)));
    assert.notEqual(texts[0], texts[1], why);
    assert.ok(!isPlainlySame(request, answerOf(method, one), answerOf(method, two)), why);
  }
  const other = { ...header, member_id: "200000", raft_term: "4" };
  const same = [header, other].map((head) => answerOf("Put", { header: head, prev_kv: a }));
  const [one, two] = same;
  assert.ok(
    one && two && isPlainlySame(requestOf("Put", {}), one, two),
    "who answered is left open",
  );
});

test("errors differ by code and by text", () => {
  const request = requestOf("Put", {});
  const error = { kind: "error", code: 3, text: "etcdserver: key is not provided" } as const;
  const others: readonly WireAnswer[] = [
    { ...error, code: 5 },
    { ...error, text: "key is not provided" },
    answerOf("Put", {}),
  ];
  for (const other of others) {
    assert.notEqual(canonicalAnswer(request, error), canonicalAnswer(request, other));
  }
});

test("ties of a sort may come in any order, other pairs may not", () => {
  const late = { ...c, mod_revision: 8 };
  const byMod = requestOf("Range", { sort_target: 3 });
  const same = (one: object, two: object) =>
    canonicalAnswer(byMod, answerOf("Range", one)) ===
    canonicalAnswer(byMod, answerOf("Range", two));
  assert.ok(same({ kvs: [a, b, late] }, { kvs: [b, a, late] }), "a and b tie");
  assert.ok(!same({ kvs: [a, b, late] }, { kvs: [a, late, b] }), "the late one is last");
  assert.ok(!same({ kvs: [a, b] }, { kvs: [a, c] }), "a run of ties holds the same pairs");
  assert.ok(same({ kvs: [a], more: true }, { kvs: [b], more: true }), "the limit cut the ties");
  assert.ok(
    !same({ kvs: [a, late], more: true }, { kvs: [b, late], more: true }),
    "a run before it",
  );
});

test("zeros on the wire are a fault of the encoding", () => {
  const message = Buffer.concat([
    encodeMessage("DeleteRangeResponse", { header }),
    Buffer.from([16, 0]),
  ]);
  assert.match(encodingFault("DeleteRange", { kind: "ok", message }) ?? "", /canonical/);
  assert.equal(
    encodingFault("DeleteRange", answerOf("DeleteRange", { header, deleted: 2 })),
    undefined,
  );
});

test("one seed gives the same requests, another seed others", () => {
  const requests = (seed: number) => {
    const generator = new KvGenerator(seed, ["7"]);
    return Array.from({ length: 200 }, () => generator.next({ revision: 50, compacted: 9 }).bytes);
  };
  assert.deepEqual(requests(1), requests(1));
  assert.notDeepEqual(requests(1), requests(2));
});

function put(response: object): object {
  return { responses: [{ response_put: response }] };
}

function requestOf(method: KvMethod, message: Record<string, unknown>): KvRequest {
  return { method, bytes: new Uint8Array(0), message };
}

function answerOf(method: KvMethod, fields: object): WireAnswer {
  return { kind: "ok", message: Buffer.from(encodeMessage(responseTypeOf[method], fields)) };
}
