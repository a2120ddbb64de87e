// mixed, txn-mixed: so many reads for each write, evenly dealt.
import type { Scenario, ScenarioParts } from "./scenario.ts";

type MakeScenario = (parts: ScenarioParts) => Scenario;

export function mixedScenario(
  parts: ScenarioParts,
  make: { readonly read: MakeScenario; readonly write: MakeScenario },
): Scenario {
  const { reads } = parts.task.scenario;
  const read = make.read(parts);
  const write = make.write(parts);
  let count = 0;
  return {
    run(client, caller, onReply) {
      (count++ % (reads + 1) === 0 ? write : read).run(client, caller, onReply);
    },
  };
}
