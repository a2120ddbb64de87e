// What one member's disk holds for certain, kept apart from the log that claims it.
import { LogIndex, noMember, Term } from "../../src/base/brand.ts";
import type { HardState } from "../../src/raft/types.ts";
import type { LogWrite, RaftLog } from "../../src/storage/log.ts";

export class DurableRecord {
  /** Terms of entries; position is index - 1. */
  #terms: Term[] = [];
  #hardState: HardState = { term: Term(0), vote: noMember, commit: LogIndex(0) };

  get hardState(): HardState {
    return this.#hardState;
  }

  get lastIndex(): number {
    return this.#terms.length;
  }

  termAt(index: LogIndex): Term | undefined {
    return this.#terms[index - 1];
  }

  /** The next save in order is on the disk. */
  saved({ hardState, entries }: LogWrite): void {
    if (hardState !== undefined) this.#hardState = hardState;
    const [first] = entries;
    if (first !== undefined) this.#terms.length = first.index - 1;
    for (const { term } of entries) this.#terms.push(term);
  }

  /** After a crash: a few unfinished saves may have made it. */
  reload(log: RaftLog): void {
    this.#hardState = log.initialState().hardState;
    this.#terms = [];
    for (let index = 1; index <= log.lastIndex(); index++) {
      this.#terms.push(log.term(LogIndex(index)) ?? Term(0));
    }
  }
}
