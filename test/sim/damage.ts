// Harm to what a disk held for certain. Only where the log can know of it: a batch that was written and
// synced behind the place proves that it was whole. The last batches of all could vanish without a trace
// (docs/decisions/0007), and no protocol helps a member that does not know what it forgot.
import type { Prng } from "../../src/base/prng.ts";
import { segmentHeadBytes } from "../../src/storage/segment.ts";
import { type FaultyDisk, sector } from "../storage/faultyDisk.ts";

export const damageKinds = ["flip", "lost", "misdirected"] as const;
export type DamageKind = (typeof damageKinds)[number];

export class ProvenBytes {
  /** By file: bytes from the start that lie before what the last opening wrote and synced. */
  readonly #ends = new Map<string, number>();

  /** @param disk right after a log was opened on it: the opening has sealed what it found. */
  constructor(disk: FaultyDisk) {
    for (const [name, { current }] of disk.files) {
      if (!name.endsWith(".log")) continue;
      const writes = disk.writes.filter((write) => write.name === name);
      const used = current.findLastIndex((byte) => byte !== 0) + 1;
      const end = Math.min(used, ...writes.map(({ offset }) => offset));
      if (end > segmentHeadBytes) this.#ends.set(name, end);
    }
  }

  /** @returns what was done, for the trace; undefined when there is nothing to harm. */
  harm(disk: FaultyDisk, kind: DamageKind, random: Prng): string | undefined {
    const names = [...this.#ends.keys()].filter((name) => disk.files.has(name));
    const name = names[random.integer(names.length)];
    if (name === undefined) return undefined;
    const end = this.#ends.get(name) ?? 0;
    if (kind === "flip") {
      const offset = random.integer(end);
      disk.flip(name, offset, random.integer(8));
      return `a bit of ${name} flips at ${offset}`;
    }
    const at = sectorWithin(end, random);
    if (kind === "lost") {
      disk.patch(name, at, new Uint8Array(sector));
      return `a sector of ${name} is empty at ${at}`;
    }
    const from = sectorWithin(end, random);
    const bytes =
      disk.files.get(name)?.current.slice(from, from + sector) ?? new Uint8Array(sector);
    disk.patch(name, at, bytes);
    if (random.oneIn(2)) disk.patch(name, from, new Uint8Array(sector));
    return `the sector at ${from} of ${name} went to ${at}`;
  }
}

/** Behind the head of the segment, which is kept twice: who loses both is refused. */
function sectorWithin(end: number, random: Prng): number {
  const count = Math.floor((end - segmentHeadBytes) / sector);
  return segmentHeadBytes + random.integer(Math.max(1, count)) * sector;
}
