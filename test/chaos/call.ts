// One request of a client: how it is put on the wire, and what its answer says.
import type { Action, Guard, Operation } from "../sim/operation.ts";
import { decodeMessage, encodeMessage } from "../support/messages.ts";

/** What clients of the wire ask for here: a part of what those of the simulator do. */
export type CallAction = Extract<
  Action,
  { readonly kind: "put" | "delete" | "pair" | "swap" | "get" | "list" }
>;

/** A pair as an answer shows it. */
export interface SeenPair {
  readonly value: string;
  readonly created: number;
  readonly modified: number;
  readonly version: number;
}

/** Times are microseconds since the round began; `floor` is the highest revision heard of by then. */
export interface Call extends Operation {
  readonly action: CallAction;
  /** Whom it was asked of. */
  readonly member: string;
  /** Done: the pairs that a read or a failed swap found, by key. */
  pairs: ReadonlyMap<string, SeenPair> | undefined;
  /** Done: how many keys a delete found. */
  deleted: number;
}

/** The keys of one round: [from, to). */
export interface KeySpace {
  readonly from: string;
  readonly to: string;
  readonly keys: readonly string[];
}

export interface WireRequest {
  readonly path: string;
  readonly message: Uint8Array;
}

type Fields = Readonly<Record<string, unknown>>;

export function keySpace(seed: number, keyCount: number): KeySpace {
  const from = `k${seed}/`;
  const keys = Array.from({ length: keyCount }, (_, i) => `${from}${i}`);
  // "0" is the character after "/".
  return { from, to: `k${seed}0`, keys };
}

export function wireRequest(action: CallAction, space: KeySpace): WireRequest {
  switch (action.kind) {
    case "put":
      return request("Put", "PutRequest", putFields(action.key, action.value));
    case "delete":
      return request("DeleteRange", "DeleteRangeRequest", { key: bytesOf(action.key) });
    case "pair": {
      const success = action.keys.map((key) => ({ request_put: putFields(key, action.value) }));
      return request("Txn", "TxnRequest", { success });
    }
    case "swap": {
      const { key, guard, value } = action;
      return request("Txn", "TxnRequest", {
        compare: [compareFields(key, guard)],
        success: [{ request_put: putFields(key, value) }],
        failure: [{ request_range: { key: bytesOf(key) } }],
      });
    }
    case "get": {
      const { key, serializable } = action;
      return request("Range", "RangeRequest", { key: bytesOf(key), serializable });
    }
    case "list": {
      const [key, range_end] = [bytesOf(space.from), bytesOf(space.to)];
      const { serializable } = action;
      return request("Range", "RangeRequest", { key, range_end, serializable });
    }
  }
}

/** Notes down what the answer says. */
export function learn(call: Call, message: Buffer): void {
  switch (call.action.kind) {
    case "put":
      call.revision = revisionOf(decodeMessage("PutResponse", message));
      break;
    case "delete": {
      const answer = decodeMessage("DeleteRangeResponse", message);
      call.revision = revisionOf(answer);
      call.deleted = Number(answer.deleted ?? 0);
      break;
    }
    case "pair":
    case "swap": {
      const answer = decodeMessage("TxnResponse", message);
      call.revision = revisionOf(answer);
      call.swapped = answer.succeeded === true;
      if (!call.swapped) see(call, fieldsOf(fieldsOf(listOf(answer.responses)[0]).response_range));
      break;
    }
    case "get":
    case "list": {
      const answer = decodeMessage("RangeResponse", message);
      call.revision = revisionOf(answer);
      see(call, answer);
      break;
    }
  }
}

function see(call: Call, range: Fields): void {
  const pairs = pairsOf(range);
  call.pairs = pairs;
  call.seen = new Map([...pairs].map(([key, { value }]) => [key, value]));
}

export function pairsOf(range: Fields): ReadonlyMap<string, SeenPair> {
  return new Map(
    listOf(range.kvs)
      .map(fieldsOf)
      .map((kv) => [`${kv.key}`, pairOf(kv)]),
  );
}

export function pairOf(kv: Fields): SeenPair {
  return {
    value: `${kv.value ?? ""}`,
    created: Number(kv.create_revision ?? 0),
    modified: Number(kv.mod_revision ?? 0),
    version: Number(kv.version ?? 0),
  };
}

export function isSamePair(a: SeenPair | undefined, b: SeenPair | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return (
    a.value === b.value &&
    a.created === b.created &&
    a.modified === b.modified &&
    a.version === b.version
  );
}

export const describePair = (pair: SeenPair | undefined): string =>
  pair === undefined
    ? "nothing"
    : `${pair.value.slice(0, 16)} (created ${pair.created}, modified ${pair.modified}, version ${pair.version})`;

export const revisionOf = (answer: Fields): number => Number(fieldsOf(answer.header).revision ?? 0);

export const bytesOf = (text: string): Buffer => Buffer.from(text, "latin1");

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

export function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

function request(method: string, type: string, fields: object): WireRequest {
  return { path: `/etcdserverpb.KV/${method}`, message: encodeMessage(type, fields) };
}

const putFields = (key: string, value: string): object => ({
  key: bytesOf(key),
  value: bytesOf(value),
});

function compareFields(key: string, guard: Guard): object {
  switch (guard.kind) {
    case "value":
      return { key: bytesOf(key), target: 3, value: bytesOf(guard.value) };
    case "mod":
      return { key: bytesOf(key), target: 2, mod_revision: guard.revision };
    case "absent":
      return { key: bytesOf(key), target: 1, create_revision: 0 };
  }
}
