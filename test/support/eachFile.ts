// Loaded before each test file: notes what the file took, and ends one that stays when its tests are over.
import { appendFileSync, readFileSync } from "node:fs";
import { relative } from "node:path";
import { isMainThread } from "node:worker_threads";
import { projectRoot } from "./paths.ts";

export interface FileCost {
  readonly path: string;
  readonly wallSec: number;
  /** User and system, with the processes that it started and waited for. */
  readonly cpuSec: number;
}

/** Names the file that gets a line of JSON for each test file, a `FileCost`. */
export const costsVariable = "QUORLET_TEST_COSTS";

/** What a test left open holds the process; none began for so long. Longer than any preparation between two. */
const idleMsMax = 120_000;
/** Of the numbers in /proc/self/stat. */
const clockTicksPerSec = 100;

// Threads of the file load this as well.
if (isMainThread && process.env.NODE_TEST_CONTEXT !== undefined) {
  process.on("exit", noteCost);
  await endWhenIdle();
}

/** A test that failed may have left a server: the file would hang until its limit. */
async function endWhenIdle(): Promise<void> {
  const { afterEach, beforeEach } = await import("node:test");
  let running = 0;
  let idle: NodeJS.Timeout | undefined;
  beforeEach(() => {
    running++;
    clearTimeout(idle);
  });
  afterEach(() => {
    running--;
    // It does not hold the process itself.
    if (running === 0) idle = setTimeout(giveUp, idleMsMax).unref();
  });
}

function giveUp(): void {
  const left = process.getActiveResourcesInfo().join(", ");
  console.error(`${fileName()}: no test runs any more, and the process stays; open: ${left}`);
  process.exit(1);
}

function noteCost(): void {
  const costsFile = process.env[costsVariable];
  if (costsFile === undefined) return;
  const { user, system } = process.cpuUsage();
  const cost: FileCost = {
    path: fileName(),
    wallSec: performance.now() / 1000,
    cpuSec: (user + system) / 1e6 + childrenCpuSec(),
  };
  appendFileSync(costsFile, `${JSON.stringify(cost)}\n`);
}

const fileName = (): string => relative(projectRoot, process.argv[1] ?? "");

/** 0 where the system does not tell. */
function childrenCpuSec(): number {
  try {
    // Behind the name, which may hold blanks: state is the third, the children's times are 16th and 17th.
    const fields = readFileSync("/proc/self/stat", "latin1").split(") ").at(-1)?.split(" ") ?? [];
    return (Number(fields[13]) + Number(fields[14])) / clockTicksPerSec;
  } catch {
    return 0;
  }
}
