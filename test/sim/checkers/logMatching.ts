// Log matching: two logs with the same term at an index agree on everything up to it. Each entry is
// looked at when it is saved: that the one before it agrees makes the rest follow by induction.

import { LogIndex, type MemberId, type Term } from "../../../src/base/brand.ts";
import { equalBytes } from "../../../src/base/bytes.ts";
import type { Entry } from "../../../src/raft/types.ts";
import type { LogWrite, RaftLog } from "../../../src/storage/log.ts";
import { Violation } from "../violation.ts";

const name = "logMatching";

interface Known {
  readonly entry: Entry;
  readonly before: Term | undefined;
  /** At the same index, of another term. */
  readonly other: Known | undefined;
}

export class LogMatching {
  /** Position is the index. */
  readonly #known: (Known | undefined)[] = [];

  onSave(id: MemberId, { entries }: LogWrite, log: RaftLog): void {
    const [first] = entries;
    if (first === undefined) return;
    let before = log.term(LogIndex(first.index - 1));
    for (const entry of entries) {
      this.#see(id, entry, before);
      before = entry.term;
    }
  }

  #see(id: MemberId, entry: Entry, before: Term | undefined): void {
    const newest = this.#known[entry.index];
    let known = newest;
    while (known !== undefined && known.entry.term !== entry.term) known = known.other;
    if (known === undefined) {
      this.#known[entry.index] = { entry, before, other: newest };
      return;
    }
    if (known.before === before && isSame(known.entry, entry)) return;
    const place = `${entry.index}@${entry.term}`;
    throw new Violation(name, `m${id} holds another ${place} than others did`);
  }
}

/** Same index and term are given. */
export function isSame(a: Entry, b: Entry): boolean {
  return a === b || (a.kind === b.kind && equalBytes(a.data, b.data));
}
