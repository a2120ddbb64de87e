// put: one key with a value of fixed length.
import { encodePutRequest } from "../../src/proto/encodeRequests.ts";
import { Writer } from "../../src/proto/writer.ts";
import {
  type KeyPicker,
  type Scenario,
  type ScenarioOptions,
  Template,
  templatePut,
} from "./scenario.ts";

export function putScenario(options: ScenarioOptions, keys: KeyPicker): Scenario {
  const message = encodePutRequest(new Writer(), templatePut(options));
  const template = new Template(message, options.keySize);
  return { next: () => ({ path: "/etcdserverpb.KV/Put", message: template.fill(keys) }) };
}
