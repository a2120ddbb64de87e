// One scenario for each verb.
import { leaseScenario } from "./leaseKeepAlive.ts";
import { mixedScenario } from "./mixed.ts";
import { putScenario } from "./put.ts";
import { rangeScenario } from "./range.ts";
import type { Scenario, ScenarioParts } from "./scenario.ts";
import { stmScenario } from "./stm.ts";
import { txnPutScenario, txnRangeScenario } from "./txn.ts";
import { watchScenario } from "./watch.ts";

export function scenarioOf(parts: ScenarioParts): Scenario {
  switch (parts.task.verb) {
    case "put":
      return putScenario(parts);
    case "range":
      return rangeScenario(parts);
    case "txn-put":
      return txnPutScenario(parts);
    case "mixed":
      return mixedScenario(parts, { read: rangeScenario, write: putScenario });
    case "txn-mixed":
      return mixedScenario(parts, { read: txnRangeScenario, write: txnPutScenario });
    case "stm":
      return stmScenario(parts);
    case "watch":
    case "watch-latency":
      return watchScenario(parts);
    case "lease-keepalive":
      return leaseScenario(parts);
  }
}
