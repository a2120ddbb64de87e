// mixed: so many reads for each write, evenly dealt.
import { putScenario } from "./put.ts";
import { rangeScenario } from "./range.ts";
import type { KeyPicker, Scenario, ScenarioOptions } from "./scenario.ts";

export function mixedScenario(options: ScenarioOptions, keys: KeyPicker): Scenario {
  const put = putScenario(options, keys);
  const range = rangeScenario(options, keys);
  let count = 0;
  return { next: () => (count++ % (options.reads + 1) === 0 ? put.next() : range.next()) };
}
