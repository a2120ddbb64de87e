// range: one key, or with a prefix some keys in a row; linearizable unless local reads are asked for.
import { emptyBytes } from "../../../src/base/bytes.ts";
import { encodeRangeRequest } from "../../../src/proto/encodeRequests.ts";
import { type RangeRequest, SortOrder, SortTarget } from "../../../src/proto/kv.ts";
import { Writer } from "../../../src/proto/writer.ts";
import type { ScenarioOptions } from "../../options.ts";
import { Template, templateEnd, templateKey } from "./keys.ts";
import { type Scenario, type ScenarioParts, shapeOf } from "./scenario.ts";

const path = "/etcdserverpb.KV/Range";

export function rangeScenario(parts: ScenarioParts): Scenario {
  const shape = shapeOf(parts);
  const template = new Template(
    encodeRangeRequest(new Writer(), templateRange(shape)),
    shape.keySize,
  );
  return {
    run: (_client, caller, onReply) =>
      caller.call(path, template.fill(parts.keys, shape.limit), onReply),
  };
}

export function templateRange(
  shape: Pick<ScenarioOptions, "keySize" | "serializable" | "prefix" | "limit">,
): RangeRequest {
  const { keySize, serializable, prefix, limit } = shape;
  return {
    key: templateKey(keySize),
    rangeEnd: prefix ? templateEnd(keySize) : emptyBytes,
    limit: prefix ? limit : 0,
    revision: 0,
    sortOrder: SortOrder.none,
    sortTarget: SortTarget.key,
    serializable,
    keysOnly: false,
    countOnly: false,
    minModRevision: 0,
    maxModRevision: 0,
    minCreateRevision: 0,
    maxCreateRevision: 0,
  };
}
