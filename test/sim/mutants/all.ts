// The list, in the order of the table.
import { memberMutants } from "./member.ts";
import { membershipMutants } from "./membership.ts";
import type { Mutant } from "./mutant.ts";
import { raftMutants } from "./raft.ts";
import { recoveryMutants } from "./recovery.ts";
import { storeMutants } from "./store.ts";
import { watchMutants } from "./watch.ts";

export const allMutants: readonly Mutant[] = [
  ...raftMutants,
  ...membershipMutants,
  ...memberMutants,
  ...storeMutants,
  ...recoveryMutants,
  ...watchMutants,
];
