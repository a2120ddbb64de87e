// Some of what a seed drew, replaced: to look harder in one corner. Plain values, for other threads.
import { agreed, type Odds } from "./odds.ts";

type GroupName = "network" | "disk" | "faults" | "load" | "operator";

export type Focus = Partial<Omit<Odds, GroupName>> & {
  readonly [Name in GroupName]?: Partial<Odds[Name]>;
};

export function withFocus(drawn: Odds, focus: Focus | undefined): Odds {
  if (focus === undefined) return drawn;
  return agreed({
    ...drawn,
    ...focus,
    network: { ...drawn.network, ...focus.network },
    disk: { ...drawn.disk, ...focus.disk },
    faults: { ...drawn.faults, ...focus.faults },
    load: { ...drawn.load, ...focus.load },
    operator: { ...drawn.operator, ...focus.operator },
  });
}
