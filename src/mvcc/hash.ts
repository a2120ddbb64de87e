// Content hash of the key space up to a revision, in bounded steps between other work. It covers
// revision, kind and row of everything that compaction keeps, so it is equal on members with the same
// compacted revision, whatever each has swept or written yet.
import { Revision } from "../base/brand.ts";
import { errCompacted, errFutureRevision } from "../base/errors.ts";
import { finished, mixBytes, mixInteger } from "./digest.ts";
import { visitHistory } from "./history.ts";
import { noKey } from "./keyTable.ts";
import { StoredHead } from "./row.ts";
import type { StoreState } from "./state.ts";

export interface ContentHash {
  /** Unsigned 32 bits. */
  readonly hash: number;
  readonly hashRevision: Revision;
  /** -1 when never compacted. */
  readonly compactRevision: number;
}

export class HashRun {
  readonly #state: StoreState;
  readonly #revision: number;
  #compacted: number;
  readonly #head = new StoredHead();
  #digest = 0;
  #nextMain = 0;
  #nextSub = 0;

  /**
   * @param revision 0: the current one; negative: before everything, so a hash of nothing, as etcd has it.
   * @throws {EtcdError} compacted or future revision.
   */
  constructor(state: StoreState, revision: number) {
    if (revision > state.revision) throw errFutureRevision;
    if (isBelow(revision, state.compacted)) throw errCompacted;
    this.#state = state;
    this.#revision = revision === 0 ? state.revision : revision;
    this.#compacted = state.compacted;
  }

  /**
   * Takes up to `rowsMax` rows in. A compaction since the last step makes it start again, as rows
   * that it would have counted may be gone.
   *
   * @returns the hash when it is complete.
   * @throws {EtcdError} compacted, when a compaction went past the revision.
   */
  step(rowsMax: number): ContentHash | undefined {
    this.#noticeCompaction();
    let rows = 0;
    let complete = true;
    const from = { main: this.#nextMain, sub: this.#nextSub };
    const source = { engine: this.#state.engine, recent: this.#state.rows.recent };
    visitHistory(source, from, (main, sub, stored) => {
      if (main > this.#revision) return false;
      if (rows === rowsMax) {
        complete = false;
        return false;
      }
      rows++;
      this.#nextMain = main;
      this.#nextSub = sub + 1;
      if (main > this.#compacted || this.#isKept(main, sub, stored)) this.#mix(main, sub, stored);
      return true;
    });
    if (!complete) return undefined;
    return {
      hash: finished(this.#digest),
      hashRevision: Revision(this.#revision),
      compactRevision: this.#compacted,
    };
  }

  #noticeCompaction(): void {
    const { compacted } = this.#state;
    if (compacted === this.#compacted) return;
    if (isBelow(this.#revision, compacted)) throw errCompacted;
    this.#compacted = compacted;
    this.#digest = 0;
    this.#nextMain = 0;
    this.#nextSub = 0;
  }

  /** Whether compaction keeps a put at or below its revision. A tombstone there never counts. */
  #isKept(main: number, sub: number, stored: Uint8Array): boolean {
    this.#head.read(stored);
    const { index } = this.#state;
    const slot = index.find(this.#head.key);
    if (slot === noKey) return false;
    const version = index.at(slot, this.#compacted);
    return version !== undefined && version.modified === main && version.sub === sub;
  }

  #mix(main: number, sub: number, stored: Uint8Array): void {
    const head = mixInteger(mixInteger(this.#digest, main), sub);
    this.#digest = mixBytes(head, stored, 0, stored.length);
  }
}

const isBelow = (revision: number, floor: number): boolean => revision > 0 && revision < floor;
