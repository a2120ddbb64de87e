// Bugs of what replaces a state or a log, and of the time of leases.
import { harmed, held, lagging, refilling, replaced, slowEnds } from "./corners.ts";
import type { Mutant } from "./mutant.ts";

const twoSnapshots = "two snapshots close together";
const deposed = "a deposed leader revokes leases";

const snapshots: readonly Mutant[] = [
  {
    name: "watchers are not bound to the state of a snapshot",
    trap: twoSnapshots,
    file: "src/member/member.ts",
    find: `    this.#hub.rebind(store);\n`,
    replace: ``,
    focus: lagging,
  },
  {
    name: "callers are not told what a snapshot has done for them",
    trap: twoSnapshots,
    file: "src/member/member.ts",
    find: `    this.#pending.onStateReplaced(this.#applier.lastBatchOf(this.#config.id));\n`,
    replace: ``,
    focus: lagging,
  },
  {
    name: "a store that was incoming is never taken by a start",
    trap: "own",
    file: "src/storage/storeHome.ts",
    find: `  return isOurs && logBase.index > 0 ? "take" : "remove";`,
    replace: `  return isOurs && logBase.index < 0 ? "take" : "remove";`,
    focus: lagging,
  },
  {
    name: "a finished store is taken although the log does not begin behind it",
    trap: "own",
    file: "src/storage/storeHome.ts",
    find: `  return isOurs && logBase.index > 0 ? "take" : "remove";`,
    replace: `  return isOurs || finished !== undefined ? "take" : "remove";`,
    focus: lagging,
  },
  {
    name: "the log lets go of what the store has not written",
    trap: "own",
    file: "src/member/member.ts",
    find: `      this.#compaction.onFlushed(this.#applier.store.savedApplied.index);`,
    replace: `      this.#compaction.onFlushed(this.#applier.applied);
      this.#compaction.onFlushed(this.#applier.applied);`,
    focus: { ...lagging, disk: { storeUsMax: 500_000 } },
  },
];

const refills: readonly Mutant[] = [
  {
    name: "a member votes although its disk lost what it had promised",
    trap: "own",
    file: "src/raft/election.ts",
    find: `  const mayJudge = core.refill === undefined;`,
    replace: `  const mayJudge = core.now >= 0;`,
    focus: harmed,
  },
  {
    name: "a refill ends with the first commit",
    trap: "own",
    file: "src/raft/refill.ts",
    find: `  return log.commit >= refill.index || (log.term(log.commit) ?? 0) > refill.term;`,
    replace: `  return log.commit > 0;`,
    focus: harmed,
  },
  {
    name: "a member serves while its state may be older than its promises",
    trap: "own",
    file: "src/member/member.ts",
    find: `    return this.#raft.isRefilling ? refusing(this.#applier) : this.#applier;`,
    replace: `    return this.#applier;`,
    focus: refilling,
  },
];

const leases: readonly Mutant[] = [
  {
    name: "an expiry of an earlier term still counts",
    trap: deposed,
    file: "src/apply/leases.ts",
    find: `  const inTerm = expiry.term === state.appliedTerm;`,
    replace: `  const inTerm = expiry.term <= state.appliedTerm;`,
    focus: replaced,
  },
  {
    name: "a new leader counts leases from zero",
    trap: "own",
    file: "src/member/leaseTerm.ts",
    find: `extendedMs + (remainingSec || ttlSec) * 1_000`,
    replace: `extendedMs + remainingSec * 1_000`,
    focus: held,
  },
  {
    name: "renewals need no office",
    trap: deposed,
    file: "src/member/leases.ts",
    find: `    return ageMs <= this.#graceMs;`,
    replace: `    return ageMs >= 0;`,
    focus: replaced,
  },
  {
    name: "a lease that expires can be renewed",
    trap: deposed,
    file: "src/member/leaseTerm.ts",
    find: `    if (this.#expiring.has(id) || !this.#checkpoints.mayRenew(lease)) return "wait";`,
    replace: `    if (!this.#checkpoints.mayRenew(lease)) return "wait";`,
    focus: slowEnds,
  },
  {
    name: "a renewal does not wait for the checkpoint to go",
    trap: "own",
    file: "src/member/leaseTerm.ts",
    find: `    if (this.#expiring.has(id) || !this.#checkpoints.mayRenew(lease)) return "wait";`,
    replace: `    if (this.#expiring.has(id)) return "wait";`,
    focus: replaced,
  },
];

export const recoveryMutants: readonly Mutant[] = [...snapshots, ...refills, ...leases];
