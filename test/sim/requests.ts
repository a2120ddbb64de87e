// Actions of the load as requests of the protocol.
import { CommandKind } from "../../src/apply/command.ts";
import { noLease } from "../../src/base/brand.ts";
import { emptyBytes } from "../../src/base/bytes.ts";
import {
  encodeCompactionRequest,
  encodeDeleteRangeRequest,
  encodePutRequest,
  encodeTxnRequest,
} from "../../src/proto/encodeRequests.ts";
import {
  type Compare,
  CompareResult,
  CompareTarget,
  type PutRequest,
  type RangeRequest,
  type RequestOp,
} from "../../src/proto/kv.ts";
import { Writer } from "../../src/proto/writer.ts";
import { type Action, type Guard, keysFrom, keysTo, markerKey } from "./operation.ts";

export interface WriteRequest {
  readonly kind: CommandKind;
  /** Valid until the next request is made. */
  readonly body: Uint8Array;
}

const bytesOf = (text: string): Uint8Array => Buffer.from(text, "latin1");

export class Requests {
  readonly #writer = new Writer();

  /** @returns undefined for an action that only reads. */
  write(action: Action): WriteRequest | undefined {
    const writer = this.#writer;
    switch (action.kind) {
      case "put":
        return {
          kind: CommandKind.put,
          body: encodePutRequest(writer, putRequest(action.key, action.value)),
        };
      case "delete": {
        const request = { key: bytesOf(action.key), rangeEnd: emptyBytes, prevKv: true };
        return { kind: CommandKind.deleteRange, body: encodeDeleteRangeRequest(writer, request) };
      }
      case "clear":
        return this.#txn([], [clearOp(), putOp(markerKey, action.value)], []);
      case "pair":
        return this.#txn(
          [],
          action.keys.map((key) => putOp(key, action.value)),
          [],
        );
      case "swap": {
        const otherwise: RequestOp = { kind: "range", request: rangeRequest(action.key) };
        const { key, guard, value } = action;
        return this.#txn([compareOf(key, guard)], [putOp(key, value)], [otherwise]);
      }
      case "compact": {
        const request = { revision: action.revision, physical: false };
        return { kind: CommandKind.compact, body: encodeCompactionRequest(writer, request) };
      }
      case "get":
      case "list":
      case "old":
        return undefined;
    }
  }

  #txn(
    compare: readonly Compare[],
    success: readonly RequestOp[],
    failure: readonly RequestOp[],
  ): WriteRequest {
    const body = encodeTxnRequest(this.#writer, { compare, success, failure });
    return { kind: CommandKind.txn, body };
  }
}

export function rangeRequest(key: string, revision = 0): RangeRequest {
  return rangeOf(bytesOf(key), emptyBytes, revision);
}

/** Spelled out, here and below: an object with a spread in it has a shape of its own, which is slow. */
const rangeOf = (key: Uint8Array, rangeEnd: Uint8Array, revision: number): RangeRequest => ({
  key,
  rangeEnd,
  limit: 0,
  revision,
  sortOrder: 0,
  sortTarget: 0,
  serializable: false,
  keysOnly: false,
  countOnly: false,
  minModRevision: 0,
  maxModRevision: 0,
  minCreateRevision: 0,
  maxCreateRevision: 0,
});

/** All keys of the load, ascending. */
const wholeRange = rangeOf(bytesOf(keysFrom), bytesOf(keysTo), 0);

export function listRequest(): RangeRequest {
  return wholeRange;
}

function putRequest(key: string, value: string, prevKv = true): PutRequest {
  return {
    key: bytesOf(key),
    value: bytesOf(value),
    lease: noLease,
    prevKv,
    ignoreValue: false,
    ignoreLease: false,
  };
}

const putOp = (key: string, value: string): RequestOp => ({
  kind: "put",
  request: putRequest(key, value, false),
});

const clearOp = (): RequestOp => ({
  kind: "deleteRange",
  request: { key: bytesOf(keysFrom), rangeEnd: bytesOf(keysTo), prevKv: false },
});

function compareOf(key: string, guard: Guard): Compare {
  const [target, operand] = operandOf(guard);
  return { result: CompareResult.equal, target, key: bytesOf(key), rangeEnd: emptyBytes, operand };
}

function operandOf(guard: Guard): readonly [number, Compare["operand"]] {
  switch (guard.kind) {
    case "value":
      return [CompareTarget.value, { kind: "value", value: bytesOf(guard.value) }];
    case "mod":
      return [CompareTarget.mod, { kind: "mod", value: guard.revision }];
    case "absent":
      return [CompareTarget.create, { kind: "create", value: 0 }];
  }
}
