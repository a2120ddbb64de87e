// What a failure of LMDB, or of the files around it, means.
import fs from "node:fs";
import { EngineFault } from "./engineFault.ts";

/** A disk with less than this is taken for full when LMDB could not write. */
const fullBelowBytes = 1024 * 1024;

// LMDB reports a write that was cut short as EIO, and that is how a disk fills up.
export function faultOf(error: unknown, directory: string): EngineFault {
  if (error instanceof EngineFault) return error;
  const why = error instanceof Error ? error.message : String(error);
  const cutShort = why.startsWith("Input/output error") && freeBytes(directory) < fullBelowBytes;
  const noSpace = cutShort || why.startsWith("No space left") || why.startsWith("ENOSPC");
  return new EngineFault(noSpace ? { kind: "noSpace" } : { kind: "io", why }, { cause: error });
}

function freeBytes(directory: string): number {
  const { bavail, bsize } = fs.statfsSync(directory);
  return bavail * bsize;
}
