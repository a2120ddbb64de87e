// stm: software transactional memory as etcd's clients do it. Read keys, then write them in a transaction
// that holds only if nobody changed them meanwhile; else read again.
import { emptyBytes } from "../../../src/base/bytes.ts";
import { decodeTxnResponse } from "../../../src/proto/decodeResponses.ts";
import { encodeTxnRequest } from "../../../src/proto/encodeRequests.ts";
import {
  type Compare,
  CompareResult,
  CompareTarget,
  type RequestOp,
  type TxnRequest,
} from "../../../src/proto/kv.ts";
import { Malformed } from "../../../src/proto/reader.ts";
import { Writer } from "../../../src/proto/writer.ts";
import type { ScenarioOptions } from "../../options.ts";
import type { Caller, OnReply } from "../caller.ts";
import { keyOf, templatePut } from "./keys.ts";
import { templateRange } from "./range.ts";
import { type Scenario, type ScenarioParts, shapeOf } from "./scenario.ts";
import { txnPath } from "./txn.ts";

/** Conflicts after which an operation counts as failed. */
const triesMax = 1_000;

export function stmScenario(parts: ScenarioParts): Scenario {
  const shape = shapeOf(parts);
  const writer = new Writer();
  const attempt = (
    caller: Caller,
    keys: readonly Uint8Array[],
    onReply: OnReply,
    triesLeft: number,
  ): void => {
    caller.call(txnPath, encodeTxnRequest(writer, readsOf(shape, keys)), (read, whyNot) => {
      const revisions = read && modRevisions(read);
      if (revisions === undefined) return onReply(undefined, whyNot);
      const write = encodeTxnRequest(writer, writesOf(shape, keys, revisions));
      caller.call(txnPath, write, (reply, why) => {
        if (reply === undefined || succeeded(reply)) onReply(reply, why);
        else if (triesLeft === 0) onReply(undefined, "too many conflicts");
        else attempt(caller, keys, onReply, triesLeft - 1);
      });
    });
  };
  return {
    run(_client, caller, onReply) {
      const numbers = new Set(Array.from({ length: shape.txnOps }, () => parts.keys.next()));
      const keys = [...numbers].map((number) => keyOf(shape.keySize, number));
      attempt(caller, keys, onReply, triesMax);
    },
  };
}

function readsOf(shape: ScenarioOptions, keys: readonly Uint8Array[]): TxnRequest {
  const range = templateRange({ ...shape, prefix: false });
  const success = keys.map((key): RequestOp => ({ kind: "range", request: { ...range, key } }));
  return { compare: [], success, failure: [] };
}

function writesOf(
  shape: ScenarioOptions,
  keys: readonly Uint8Array[],
  revisions: readonly number[],
): TxnRequest {
  const put = templatePut(shape);
  return {
    compare: keys.map(
      (key, i): Compare => ({
        result: CompareResult.equal,
        target: CompareTarget.mod,
        key,
        rangeEnd: emptyBytes,
        operand: { kind: "mod", value: revisions[i] ?? 0 },
      }),
    ),
    success: keys.map((key): RequestOp => ({ kind: "put", request: { ...put, key } })),
    failure: [],
  };
}

/** Of each key that was read; 0 where there is none. */
function modRevisions(reply: Uint8Array): readonly number[] | undefined {
  const response = decodeTxnResponse(reply);
  if (response instanceof Malformed) return undefined;
  return response.responses.map((part) =>
    part.kind === "range" ? (part.response.kvs[0]?.modRevision ?? 0) : 0,
  );
}

function succeeded(reply: Uint8Array): boolean {
  const response = decodeTxnResponse(reply);
  return !(response instanceof Malformed) && response.succeeded;
}
