// txn: puts in one transaction, on request behind a compare that always holds.
import { emptyBytes } from "../../src/base/bytes.ts";
import { encodeTxnRequest } from "../../src/proto/encodeRequests.ts";
import { type Compare, CompareResult, CompareTarget, type RequestOp } from "../../src/proto/kv.ts";
import { Writer } from "../../src/proto/writer.ts";
import {
  type KeyPicker,
  type Scenario,
  type ScenarioOptions,
  Template,
  templateKey,
  templatePut,
} from "./scenario.ts";

export function txnScenario(options: ScenarioOptions, keys: KeyPicker): Scenario {
  const compare: Compare = {
    result: CompareResult.greater,
    target: CompareTarget.version,
    key: templateKey(options.keySize),
    rangeEnd: emptyBytes,
    operand: { kind: "version", value: -1 },
  };
  const put: RequestOp = { kind: "put", request: templatePut(options) };
  const message = encodeTxnRequest(new Writer(), {
    compare: options.compare ? [compare] : [],
    success: Array.from({ length: options.txnOps }, () => put),
    failure: [],
  });
  const template = new Template(message, options.keySize);
  return { next: () => ({ path: "/etcdserverpb.KV/Txn", message: template.fill(keys) }) };
}
