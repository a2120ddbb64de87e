// Which faults of a disk another start of the member cannot mend.
import { NotForcedError } from "../src/member/forceAlone.ts";
import { DataDirError } from "../src/storage/dataDirError.ts";
import { EngineFault } from "../src/storage/engineFault.ts";
import { LogFault } from "../src/storage/log.ts";

/**
 * True where another try would find the same again until a person did something about it, and after
 * a failed read, write or sync: the page cache may then show what never reached the disk.
 *
 * Damage that shows while the member runs is another matter: a start looks at everything, sets aside
 * what is damaged, and has it refilled by others, or says that nobody can.
 */
export function isPermanent(error: unknown, phase: "start" | "run"): boolean {
  if (error instanceof NotForcedError) return true;
  if (error instanceof DataDirError) return phase === "start";
  if (!(error instanceof LogFault) && !(error instanceof EngineFault)) return false;
  const { kind } = error.trouble;
  return kind !== "noSpace" && (phase === "start" || kind !== "damaged");
}
