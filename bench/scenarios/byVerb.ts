// One scenario for each verb.
import type { Verb } from "../options.ts";
import { mixedScenario } from "./mixed.ts";
import { putScenario } from "./put.ts";
import { rangeScenario } from "./range.ts";
import type { KeyPicker, Scenario, ScenarioOptions } from "./scenario.ts";
import { txnScenario } from "./txn.ts";

export function scenarioOf(verb: Verb, options: ScenarioOptions, keys: KeyPicker): Scenario {
  switch (verb) {
    case "put":
      return putScenario(options, keys);
    case "range":
      return rangeScenario(options, keys);
    case "txn":
      return txnScenario(options, keys);
    case "mixed":
      return mixedScenario(options, keys);
  }
}
