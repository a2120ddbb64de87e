// What a start does with the stores it finds on disk, before one of them is opened: it ends what a crash
// left between two steps of a replacement, and sets a damaged store aside if it can be had again.
//
//   <member>/store.damaged-N/   the last one that was set aside; for a person, nobody reads it
import fs from "node:fs";
import path from "node:path";
import { LogIndex, Term } from "../base/brand.ts";
import type { Log } from "../base/ports.ts";
import { EngineFault } from "./engineFault.ts";
import { checkLmdbFile } from "./lmdbCheck.ts";
import { incomingFate, type StoreMoment } from "./storeHome.ts";

export const dataName = "data.mdb";
export const markerName = "complete.json";
/** Stores set aside beyond this are removed, the oldest first: each may be as large as the disk's half. */
export const asideStoresMax = 1;

export interface StoreBootOptions {
  /** Of the store in use; others lie beside it. */
  readonly directory: string;
  /** What the log begins behind, and where it ends. */
  readonly logBase: StoreMoment;
  readonly lastIndex: LogIndex;
  /** Without its store the member can come to the same state: from its own log, or from another voter. */
  readonly mayRebuild: boolean;
  readonly log: Log;
}

/**
 * Afterwards the directory holds a whole store, or none.
 *
 * @returns whether each row of it was checked.
 * @throws {EngineFault} when what is lost cannot be had again; nothing was changed then.
 */
export function prepareStore(options: StoreBootOptions): boolean {
  const { directory, logBase, log } = options;
  settleIncoming(options);
  const file = path.join(directory, dataName);
  const saved = { from: logBase.index + 1, to: options.lastIndex };
  if (bytesOf(file) === 0) {
    // LMDB makes an empty file anew.
    if (logBase.index === 0) return false;
    const trouble = new EngineFault({ kind: "missing", file, saved });
    if (!options.mayRebuild) throw trouble;
    log.warn("the store is missing and begins anew", { why: trouble.message });
    return false;
  }
  const damage = checkLmdbFile(file);
  if (damage === undefined) return true;
  const trouble = new EngineFault({ kind: "damagedFile", file, ...damage, saved });
  if (!options.mayRebuild) throw trouble;
  const aside = setAside(directory);
  log.warn("the store is damaged and begins anew", { why: trouble.message, aside });
  return false;
}

const bytesOf = (file: string): number => fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0;

/** @returns where it is now. */
function setAside(directory: string): string {
  const earlier = siblings(directory, "damaged");
  const number = numberOf(earlier.at(-1) ?? "") + 1;
  const aside = `${directory}.damaged-${number}`;
  fs.renameSync(directory, aside);
  syncDirectory(path.dirname(directory));
  for (const old of [...earlier, aside].slice(0, -asideStoresMax)) {
    fs.rmSync(old, { recursive: true, force: true });
  }
  return aside;
}

/** Finishes or undoes what an earlier life left between two steps. */
function settleIncoming({ directory, logBase }: StoreBootOptions): void {
  for (const incoming of siblings(directory, "incoming")) {
    const isThere = fs.existsSync(path.join(incoming, dataName));
    const finished = isThere ? readMarker(incoming) : undefined;
    if (incomingFate(finished, logBase) === "take") takePlace(incoming, directory);
    fs.rmSync(incoming, { recursive: true, force: true });
  }
}

/** One step, also for a crash. */
export function takePlace(incoming: string, directory: string): void {
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
  fs.renameSync(path.join(incoming, dataName), path.join(directory, dataName));
  syncDirectory(directory);
  syncDirectory(incoming);
}

/** Directories beside that of the store, by ascending numbers. */
function siblings(directory: string, kind: "incoming" | "damaged"): readonly string[] {
  const prefix = `${path.basename(directory)}.${kind}-`;
  const parent = path.dirname(directory);
  if (!fs.existsSync(parent)) return [];
  return fs
    .readdirSync(parent)
    .filter((name) => name.startsWith(prefix))
    .sort((a, b) => numberOf(a) - numberOf(b))
    .map((name) => path.join(parent, name));
}

const numberOf = (name: string): number => Number(/\d+$/.exec(name)?.[0] ?? 0);

/** Undefined when the store was never finished. */
function readMarker(incoming: string): StoreMoment | undefined {
  try {
    const json: unknown = JSON.parse(fs.readFileSync(path.join(incoming, markerName), "utf8"));
    if (typeof json !== "object" || json === null) return undefined;
    const { index, term } = { index: undefined, term: undefined, ...json };
    const isMoment = Number.isSafeInteger(index) && Number.isSafeInteger(term);
    return isMoment ? { index: LogIndex(Number(index)), term: Term(Number(term)) } : undefined;
  } catch {
    return undefined;
  }
}

function syncDirectory(directory: string): void {
  const fd = fs.openSync(directory, "r");
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
