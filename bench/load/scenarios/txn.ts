// txn-put: puts in one transaction, on request behind a compare that always holds. txn-mixed reads in one.
import { emptyBytes } from "../../../src/base/bytes.ts";
import { encodeTxnRequest } from "../../../src/proto/encodeRequests.ts";
import {
  type Compare,
  CompareResult,
  CompareTarget,
  type RequestOp,
} from "../../../src/proto/kv.ts";
import { Writer } from "../../../src/proto/writer.ts";
import { Template, templateKey, templatePut } from "./keys.ts";
import { templateRange } from "./range.ts";
import { type Scenario, type ScenarioParts, shapeOf } from "./scenario.ts";

export const txnPath = "/etcdserverpb.KV/Txn";

export function txnPutScenario(parts: ScenarioParts): Scenario {
  const shape = shapeOf(parts);
  const compare: Compare = {
    result: CompareResult.greater,
    target: CompareTarget.version,
    key: templateKey(shape.keySize),
    rangeEnd: emptyBytes,
    operand: { kind: "version", value: -1 },
  };
  const put: RequestOp = { kind: "put", request: templatePut(shape) };
  const puts = Array.from({ length: shape.txnOps }, () => put);
  return templateTxn(parts, { compare: shape.compare ? [compare] : [], success: puts });
}

export function txnRangeScenario(parts: ScenarioParts): Scenario {
  const request = templateRange(shapeOf(parts));
  return templateTxn(parts, { compare: [], success: [{ kind: "range", request }] });
}

function templateTxn(
  { task, keys }: ScenarioParts,
  txn: { readonly compare: readonly Compare[]; readonly success: readonly RequestOp[] },
): Scenario {
  const { keySize, limit } = task.scenario;
  const message = encodeTxnRequest(new Writer(), { ...txn, failure: [] });
  const template = new Template(message, keySize);
  return {
    run: (_client, caller, onReply) => caller.call(txnPath, template.fill(keys, limit), onReply),
  };
}
