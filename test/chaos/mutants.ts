// Deliberate bugs that rounds of harm to real threads must find; pauses and cuts each one that shows by
// nothing else. Planted in a copy of the build: line by line the compiler leaves the code as it is.
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { allMutants } from "../sim/mutants/all.ts";
import type { Mutant } from "../sim/mutants/mutant.ts";
import { Violation } from "../sim/violation.ts";
import { projectRoot } from "../support/paths.ts";
import { ownBuild } from "./clusterHandle.ts";
import { runRounds } from "./run.ts";
import type { Kind } from "./schedule.ts";

/** A bug that survives so many rounds is not found. */
export const mutantRoundsMax = 60;

const pauses: readonly Kind[] = ["pauseOne", "pauseLeader", "pauseAll"];
const cuts: readonly Kind[] = ["isolate", "isolateLeader", "mute", "deafen", "mend"];

export interface ChaosMutant extends Mutant {
  /** The only harm that is done; all kinds if missing. */
  readonly only?: readonly Kind[];
  /** What would find nothing if this was not found. */
  readonly proves: string;
}

export const chaosMutants: readonly ChaosMutant[] = [
  { ...known("reads ask nobody"), only: cuts, proves: "cuts" },
  {
    ...known("a batch that is proposed twice is applied twice"),
    find: "if (last !== undefined && !isNewer(origin, last))",
    replace: "if (last !== undefined && isNewer(last, last))",
    only: pauses,
    proves: "pauses",
  },
  { ...known("a watcher that falls behind skips a revision"), proves: "slow watchers" },
  { ...known("a new leader counts leases from zero"), only: ["killLeader"], proves: "leases" },
  { ...known("a change counts from its commit on"), proves: "changes of membership" },
];

function known(name: string): Mutant {
  const mutant = allMutants.find((each) => each.name === name);
  if (mutant === undefined) throw new RangeError(`there is no mutant "${name}"`);
  return mutant;
}

export interface ChaosFind {
  /** Undefined: not found. */
  readonly round: number | undefined;
  readonly what: string;
  readonly seconds: number;
}

/** The place in the built file, exactly once. @throws {RangeError} when the mutant is stale. */
export async function builtMutant(mutant: Mutant): Promise<{ file: string; text: string }> {
  const { name } = mutant;
  const file = mutant.file.replace(/\.ts$/, ".js");
  const source = await readFile(join(ownBuild, file), "utf8");
  const parts = source.split(mutant.find.trim());
  if (parts.length !== 2) {
    throw new RangeError(`"${name}" is at ${parts.length - 1} places of the built ${file}`);
  }
  return { file, text: parts.join(mutant.replace.trim()) };
}

/** Rounds against one mutant, until a judge finds it. */
export async function huntOnThreads(mutant: ChaosMutant): Promise<ChaosFind> {
  const startMs = performance.now();
  const root = await mkdtemp(join(tmpdir(), "quorlet-chaos-mutant-"));
  const build = join(root, ".build");
  try {
    const { file, text } = await builtMutant(mutant);
    // Without the bundle threads run the files themselves, the changed one among them.
    const filter = (path: string): boolean => path !== join(ownBuild, "bundle");
    await cp(ownBuild, build, { recursive: true, filter });
    for (const name of ["node_modules", "package.json", "src"]) {
      await symlink(join(projectRoot, name), join(root, name));
    }
    await writeFile(join(build, file), text);
    const { failed, rounds } = await runRounds({
      ...{ from: 1, rounds: mutantRoundsMax, msMax: Number.POSITIVE_INFINITY, build },
      onRound: () => {},
      only: mutant.only,
    });
    const failure = failed?.failure;
    const who = failure instanceof Violation ? failure.checker : "round";
    const what = failure === undefined ? "" : `${who}: ${failure.message.split("\n")[0]}`;
    return { round: failed && rounds, what, seconds: (performance.now() - startMs) / 1000 };
  } finally {
    await rm(root, { recursive: true });
  }
}
