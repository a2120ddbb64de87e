// Bugs of changing the membership: when a change counts, for whom, and who knows of it.
import { restless, rivals } from "./corners.ts";
import type { Mutant } from "./mutant.ts";

const early = "membership change before the leader committed in its term";
const applyTime = "configuration effective at apply time while campaigning";
const promoted = "a promoted learner must vote";
const readded = "learner re-added with an empty directory";
const twoSources = "two sources of truth for membership";

export const membershipMutants: readonly Mutant[] = [
  {
    name: "a fresh leader changes the membership at once",
    trap: early,
    file: "src/raft/leader.ts",
    find: `    membershipIndex: barrierIndex,`,
    replace: `    membershipIndex: core.configurations.latestIndex,`,
    focus: rivals,
  },
  {
    name: "a change does not wait for the one before it",
    trap: early,
    file: "src/raft/leader.ts",
    find: `  leadership.membershipIndex = entry.index;`,
    replace: `  leadership.membershipIndex = core.log.applied;`,
    focus: restless,
  },
  {
    name: "a change counts from its commit on",
    trap: applyTime,
    file: "src/raft/core.ts",
    find: `    return this.configurations.latest;`,
    replace: `    return this.configurations.at(this.log.commit) ?? this.configurations.latest;`,
    focus: restless,
  },
  {
    name: "a change that was cut from the log still counts",
    trap: applyTime,
    file: "src/raft/configurations.ts",
    find: `    while (this.#history.length > 1 && this.#last.index > last) this.#history.pop();`,
    replace: `    while (this.#history.length > 1 && this.#last.index > last * 1e9) this.#history.pop();`,
    focus: restless,
  },
  {
    name: "only who knows that it is a voter votes",
    trap: promoted,
    file: "src/raft/election.ts",
    find: `  const mayJudge = core.refill === undefined;`,
    replace: `  const mayJudge = core.refill === undefined && core.membership.voters.includes(core.id);`,
    focus: { ...restless, members: 1 },
  },
  {
    name: "who was removed may be added again",
    trap: readded,
    file: "src/member/changeRequest.ts",
    find: `  if (view.isRemoved(request.id)) return errMemberNotFound;\n`,
    replace: ``,
    focus: restless,
  },
  {
    name: "the list of members keeps who was removed",
    trap: twoSources,
    file: "src/apply/members.ts",
    find: `    for (const id of this.#members.keys()) if (!ids.has(id)) this.#remove(id, index, stage);\n`,
    replace: ``,
    focus: restless,
  },
  {
    name: "everybody who answers counts in the quorum of commits",
    trap: "own",
    file: "src/raft/quorum.ts",
    find: `  return LogIndex(jointNumber(acked, { voters, outgoing }));`,
    replace: `  const all = outgoing.length > 0 ? voters : [...acked.keys()];
  return LogIndex(jointNumber(acked, { voters: all, outgoing }));`,
    focus: restless,
  },
];
