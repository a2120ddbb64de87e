// range: one key, linearizable unless local reads are asked for.
import { emptyBytes } from "../../src/base/bytes.ts";
import { encodeRangeRequest } from "../../src/proto/encodeRequests.ts";
import { SortOrder, SortTarget } from "../../src/proto/kv.ts";
import { Writer } from "../../src/proto/writer.ts";
import {
  type KeyPicker,
  type Scenario,
  type ScenarioOptions,
  Template,
  templateKey,
} from "./scenario.ts";

export function rangeScenario(options: ScenarioOptions, keys: KeyPicker): Scenario {
  const message = encodeRangeRequest(new Writer(), {
    key: templateKey(options.keySize),
    rangeEnd: emptyBytes,
    limit: 0,
    revision: 0,
    sortOrder: SortOrder.none,
    sortTarget: SortTarget.key,
    serializable: options.serializable,
    keysOnly: false,
    countOnly: false,
    minModRevision: 0,
    maxModRevision: 0,
    minCreateRevision: 0,
    maxCreateRevision: 0,
  });
  const template = new Template(message, options.keySize);
  return { next: () => ({ path: "/etcdserverpb.KV/Range", message: template.fill(keys) }) };
}
