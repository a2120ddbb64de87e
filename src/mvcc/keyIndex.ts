// The history of one key as revisions, without values. A life runs from a put that creates the key to
// the tombstone that ends it (etcd calls it a generation):
//
//   put 2.0  put 4.0  delete 6.0   put 8.0
//   |------- a past life ------|   |-- the current life: created 8, version 1
//
// Most keys have one revision in one life, so that case is flat fields and no array.
import { assert } from "../base/assert.ts";
import { Revision } from "../base/brand.ts";
import type { RevisionPair } from "./revision.ts";

/** A version of the key, as seen at some revision. */
export interface KeyVersion {
  readonly created: Revision;
  readonly modified: Revision;
  /** Sub-revision of `modified`. */
  readonly sub: number;
  /** Puts of this life up to here, from 1. */
  readonly version: number;
}

/** Hears of revisions as main, sub, ..., ascending: elements [0, end) of `pairs`, which is its own now. */
export type Drop = (pairs: readonly number[], end: number) => void;

/** An ended life. `revisions` are main, sub, main, sub, ...; the last pair is the tombstone. */
interface Life {
  readonly created: number;
  /** Puts in the life, those that were compacted away included. */
  readonly version: number;
  revisions: number[];
}

export class KeyIndex {
  /** latin1, one char per byte. */
  readonly key: string;
  #main = 0;
  #sub = 0;
  #created = 0;
  #version = 0;
  /** Earlier puts of the current life, ascending pairs. */
  #past: number[] | undefined = undefined;
  /** Earlier lives, oldest first. */
  #lives: Life[] | undefined = undefined;

  constructor(key: string) {
    this.key = key;
  }

  /** Main revision of the last change; of the tombstone when the key is dead. */
  get main(): number {
    return this.#main;
  }

  get sub(): number {
    return this.#sub;
  }

  /** Create revision of the current life; 0 when dead. */
  get created(): number {
    return this.#created;
  }

  /** Puts of the current life; 0 when dead. */
  get version(): number {
    return this.#version;
  }

  get alive(): boolean {
    return this.#version > 0;
  }

  /** Records a put, later than everything before. */
  put(main: number, sub: number): void {
    if (this.#version === 0) this.#created = main;
    else this.#remember();
    this.#version++;
    this.#main = main;
    this.#sub = sub;
  }

  /** Ends the current life. */
  tombstone(main: number, sub: number): void {
    assert(this.#version > 0, "only a living key can be deleted");
    const revisions = this.#past ?? [];
    revisions.push(this.#main, this.#sub, main, sub);
    this.#bury(revisions);
    this.#main = main;
    this.#sub = sub;
  }

  /** Records a put as its row tells it; earlier ones of its life may have been compacted away. */
  restorePut(main: number, sub: number, life: { created: number; version: number }): void {
    if (this.#version > 0) this.#remember();
    this.#main = main;
    this.#sub = sub;
    this.#created = life.created;
    this.#version = life.version;
  }

  /** Records a tombstone; what it ended may have been compacted away. */
  restoreTombstone(main: number, sub: number): void {
    if (this.#version > 0) {
      this.tombstone(main, sub);
      return;
    }
    this.#bury([main, sub]);
    this.#main = main;
    this.#sub = sub;
  }

  /** The version visible at a revision; undefined when there was none, or a tombstone. */
  at(revision: number): KeyVersion | undefined {
    if (revision >= this.#main) {
      return this.#version === 0 ? undefined : this.#newest();
    }
    const past = this.#past;
    if (past !== undefined && mainAt(past, 0) <= revision) {
      const pair = lastAtOrBelow(past, revision);
      return versionOf(past, pair, {
        created: this.#created,
        version: this.#version - (past.length / 2 - pair),
      });
    }
    return this.#inPastLives(revision);
  }

  /** All revisions from `revision` on, tombstones included, ascending. */
  since(revision: number): readonly RevisionPair[] {
    const found: RevisionPair[] = [];
    const add = (pairs: readonly number[]): void => {
      for (let i = 0; i < pairs.length / 2; i++) {
        const main = mainAt(pairs, i);
        if (main >= revision) found.push({ main: Revision(main), sub: subAt(pairs, i) });
      }
    };
    for (const life of this.#lives ?? []) add(life.revisions);
    add(this.#past ?? []);
    if (this.#version > 0) add([this.#main, this.#sub]);
    return found;
  }

  /** False when `compact` would change nothing, at any revision. */
  get hasHistory(): boolean {
    return this.#past !== undefined || this.#lives !== undefined;
  }

  /**
   * Forgets what nobody can see from `revision` on: of each life the puts before the last at or below
   * it, and lives that ended before it. A tombstone at exactly `revision` stays, so that a watch
   * starting there sees it (semantics, section 6).
   *
   * @param drop gets the forgotten revisions.
   * @returns true when nothing is left of the key.
   */
  compact(revision: number, drop: Drop): boolean {
    if (this.#lives !== undefined) this.#lives = livesFrom(this.#lives, revision, drop);
    const past = this.#past;
    if (past !== undefined) {
      const kept = this.#main <= revision ? past.length / 2 : lastAtOrBelow(past, revision);
      this.#past = pairsFrom(past, kept, drop);
    }
    return this.#version === 0 && this.#lives === undefined;
  }

  #newest(): KeyVersion {
    return {
      created: Revision(this.#created),
      modified: Revision(this.#main),
      sub: this.#sub,
      version: this.#version,
    };
  }

  #remember(): void {
    if (this.#past === undefined) this.#past = [this.#main, this.#sub];
    else this.#past.push(this.#main, this.#sub);
  }

  #bury(revisions: number[]): void {
    const life: Life = { created: this.#created, version: this.#version, revisions };
    if (this.#lives === undefined) this.#lives = [life];
    else this.#lives.push(life);
    this.#past = undefined;
    this.#created = 0;
    this.#version = 0;
  }

  #inPastLives(revision: number): KeyVersion | undefined {
    const lives = this.#lives;
    if (lives === undefined) return undefined;
    for (let i = lives.length - 1; i >= 0; i--) {
      const life = lives[i];
      if (life === undefined || mainAt(life.revisions, 0) > revision) continue;
      const { revisions } = life;
      const pair = lastAtOrBelow(revisions, revision);
      const tombstone = revisions.length / 2 - 1;
      if (pair === tombstone) return undefined;
      return versionOf(revisions, pair, {
        created: life.created,
        version: life.version - (tombstone - 1 - pair),
      });
    }
    return undefined;
  }
}

const mainAt = (pairs: readonly number[], pair: number): number => pairs[2 * pair] ?? 0;
const subAt = (pairs: readonly number[], pair: number): number => pairs[2 * pair + 1] ?? 0;

/** Index of the last pair whose main revision is at most `revision`; -1 when there is none. */
function lastAtOrBelow(pairs: readonly number[], revision: number): number {
  let low = 0;
  let high = pairs.length / 2;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (mainAt(pairs, middle) <= revision) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function versionOf(
  pairs: readonly number[],
  pair: number,
  life: { created: number; version: number },
): KeyVersion {
  return {
    created: Revision(life.created),
    modified: Revision(mainAt(pairs, pair)),
    sub: subAt(pairs, pair),
    version: life.version,
  };
}

/** What `compact` keeps of past lives. */
function livesFrom(lives: Life[], revision: number, drop: Drop): Life[] | undefined {
  let first = 0;
  for (; first < lives.length; first++) {
    const pairs = lives[first]?.revisions ?? [];
    const tombstone = pairs.length / 2 - 1;
    if (mainAt(pairs, tombstone) >= revision) break;
    pairsFrom(pairs, tombstone + 1, drop);
  }
  if (first === lives.length) return undefined;
  const kept = first === 0 ? lives : lives.slice(first);
  const [oldest] = kept;
  if (oldest !== undefined) {
    const pairs = oldest.revisions;
    oldest.revisions = pairsFrom(pairs, lastAtOrBelow(pairs, revision), drop) ?? [];
  }
  return kept;
}

/** Pairs from index `from` on, undefined for none; drops those before. A `from` below 1 keeps all. */
function pairsFrom(pairs: number[], from: number, drop: Drop): number[] | undefined {
  if (from <= 0) return pairs;
  drop(pairs, 2 * from);
  return 2 * from < pairs.length ? pairs.slice(2 * from) : undefined;
}
