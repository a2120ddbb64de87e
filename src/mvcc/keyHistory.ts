// What a key was before its last change. A life runs from a put that creates the key to the tombstone
// that ends it (etcd calls it a generation):
//
//   put 2.0  put 4.0  delete 6.0   put 8.0
//   |------- a past life ------|   |-- the current life: created 8, version 1
//
// Most keys have one revision in one life, and no history at all.
import { Revision } from "../base/brand.ts";
import type { NumberRuns } from "./numberRuns.ts";
import { RevisionList, type Revisions } from "./revisions.ts";

/** A version of the key, as seen at some revision. */
export interface KeyVersion {
  readonly created: Revision;
  readonly modified: Revision;
  /** Sub-revision of `modified`. */
  readonly sub: number;
  /** Puts of this life up to here, from 1. */
  readonly version: number;
}

/** The last change of a key; a version of 0 says that it was a tombstone. */
export interface LastChange {
  readonly main: number;
  readonly sub: number;
  readonly created: number;
  readonly version: number;
}

/** Hears of revisions that nobody can see any more, ascending: [0, end) of `revisions`. */
export type Drop = (revisions: Revisions, end: number) => void;

/** An ended life; the last of `revisions` is the tombstone. */
interface Life {
  readonly created: number;
  /** Puts in the life, those that were compacted away included. */
  readonly version: number;
  revisions: RevisionList;
}

export class KeyHistory {
  readonly #runs: NumberRuns;
  /** Earlier puts of the current life. */
  #past: RevisionList | undefined = undefined;
  /** Earlier lives, oldest first. */
  #lives: Life[] | undefined = undefined;

  /** @param runs where all histories of a store keep their revisions. */
  constructor(runs: NumberRuns) {
    this.#runs = runs;
  }

  /** Takes up a put that another of the same life follows. */
  remember(main: number, sub: number): void {
    this.#past ??= new RevisionList(this.#runs);
    this.#past.push(main, sub);
  }

  /** Takes up the tombstone that ended a life, and its last put if that is known. */
  bury(last: LastChange | undefined, main: number, sub: number): void {
    if (last !== undefined) this.remember(last.main, last.sub);
    this.remember(main, sub);
    const revisions = this.#past;
    this.#past = undefined;
    if (revisions === undefined) return;
    const life = { created: last?.created ?? 0, version: last?.version ?? 0, revisions };
    if (this.#lives === undefined) this.#lives = [life];
    else this.#lives.push(life);
  }

  get isEmpty(): boolean {
    return this.#past === undefined && this.#lives === undefined;
  }

  /** The version visible at a revision below that of `last`; undefined when there was none. */
  at(revision: number, last: LastChange): KeyVersion | undefined {
    const past = this.#past;
    if (past !== undefined && past.main(0) <= revision) {
      const put = past.lastAtOrBelow(revision);
      return versionOf(past, put, {
        created: last.created,
        version: last.version - (past.count - put),
      });
    }
    return this.#inPastLives(revision);
  }

  /** See Index.compact. @param lastMain revision of the last change. */
  compact(revision: number, lastMain: number, drop: Drop): void {
    if (this.#lives !== undefined) this.#lives = livesFrom(this.#lives, revision, drop);
    const past = this.#past;
    if (past === undefined) return;
    this.#past = past.cut(lastMain <= revision ? past.count : past.lastAtOrBelow(revision), drop);
  }

  #inPastLives(revision: number): KeyVersion | undefined {
    const lives = this.#lives;
    if (lives === undefined) return undefined;
    for (let i = lives.length - 1; i >= 0; i--) {
      const life = lives[i];
      if (life === undefined || life.revisions.main(0) > revision) continue;
      const { revisions } = life;
      const put = revisions.lastAtOrBelow(revision);
      const tombstone = revisions.count - 1;
      if (put === tombstone) return undefined;
      return versionOf(revisions, put, {
        created: life.created,
        version: life.version - (tombstone - 1 - put),
      });
    }
    return undefined;
  }
}

function versionOf(
  revisions: Revisions,
  put: number,
  life: { created: number; version: number },
): KeyVersion {
  return {
    created: Revision(life.created),
    modified: Revision(revisions.main(put)),
    sub: revisions.sub(put),
    version: life.version,
  };
}

/** What `compact` keeps of past lives. */
function livesFrom(lives: Life[], revision: number, drop: Drop): Life[] | undefined {
  let first = 0;
  for (; first < lives.length; first++) {
    const revisions = lives[first]?.revisions;
    if (revisions === undefined || revisions.main(revisions.count - 1) >= revision) break;
    revisions.cut(revisions.count, drop);
  }
  if (first === lives.length) return undefined;
  const kept = first === 0 ? lives : lives.slice(first);
  const [oldest] = kept;
  if (oldest !== undefined) {
    const { revisions } = oldest;
    // The tombstone always stays here, so something does.
    oldest.revisions = revisions.cut(revisions.lastAtOrBelow(revision), drop) ?? revisions;
  }
  return kept;
}
