// put: one key with a value of fixed length.
import { encodePutRequest } from "../../../src/proto/encodeRequests.ts";
import { Writer } from "../../../src/proto/writer.ts";
import { Template, templatePut } from "./keys.ts";
import { type Scenario, type ScenarioParts, shapeOf } from "./scenario.ts";

export const putPath = "/etcdserverpb.KV/Put";

export function putScenario(parts: ScenarioParts): Scenario {
  const shape = shapeOf(parts);
  const message = encodePutRequest(new Writer(), templatePut(shape));
  const template = new Template(message, shape.keySize, shape.keyPrefix);
  return {
    run: (_client, caller, onReply) => caller.call(putPath, template.fill(parts.keys), onReply),
  };
}
