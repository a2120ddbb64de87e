// The apply benchmark in a thread of its own, with the heap that a member's thread has.
import { Piscina } from "piscina";
import type { ApplyOptions } from "../options.ts";
import type { BenchResult } from "../result.ts";

export interface ApplyTask {
  readonly options: ApplyOptions;
  readonly round: number;
}

/** A fresh thread each time: no round inherits another's heap. */
export async function applyInThread(options: ApplyOptions, round: number): Promise<BenchResult> {
  const pool = new Piscina<ApplyTask, BenchResult>({
    filename: new URL("../../workers/load.js", import.meta.url).href,
    name: "applyCommands",
    atomics: "disabled",
    minThreads: 1,
    maxThreads: 1,
  });
  try {
    return await pool.run({ options, round });
  } finally {
    await pool.close();
  }
}
