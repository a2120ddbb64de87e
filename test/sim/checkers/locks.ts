// A lock is given to whoever stands first in line, alive, and to nobody whose place was gone already when the
// cluster was last asked about it.
import { check } from "../violation.ts";
import type { AppliedChange } from "./history.ts";

const name = "locks";

/** The line in which all lock clients stand, and how its keys begin. */
export const lockLine = "q";
const lockKeysFrom = `${lockLine}/`;

/** A place in line, from the revision that made it to the one that took it away. */
interface PlaceLife {
  readonly key: string;
  readonly created: number;
  gone: number;
}

export interface GivenTurn {
  readonly key: string;
  readonly createRevision: number;
  /** Of the answer. */
  readonly revision: number;
  /** The lock must have been its place's at this revision or, if it is younger, at its beginning. */
  readonly floor: number;
}

export class LockJudge {
  readonly #lives: PlaceLife[] = [];

  /** Places that nobody has taken away. */
  get livingKeys(): readonly string[] {
    return this.#lives.filter(({ gone }) => gone === Infinity).map(({ key }) => key);
  }

  /** Whether a revision is that of locks alone. */
  owns(changes: readonly AppliedChange[]): boolean {
    return changes.every(({ key }) => key.startsWith(lockKeysFrom));
  }

  onRevision(revision: number, changes: readonly AppliedChange[]): void {
    for (const { key, pair } of changes) {
      const living = this.#lives.findLast((life) => life.key === key && life.gone === Infinity);
      if (pair === undefined && living !== undefined) living.gone = revision;
      if (pair === undefined) continue;
      check(living === undefined, name, () => `${key} steps in twice, again at ${revision}`);
      this.#lives.push({ key, created: revision, gone: Infinity });
    }
  }

  onTurn({ key, createRevision, revision, floor }: GivenTurn): void {
    const life = this.#lives.find((each) => each.key === key && each.created === createRevision);
    check(life !== undefined, name, () => `${key} has the lock, it stepped in never`);
    const isAlive = life.gone > Math.max(revision, floor);
    const { gone } = life;
    check(isAlive, name, () => `${key} is given the lock at ${revision}/${floor}, gone at ${gone}`);
    const before = this.#lives.find((each) => each.created < life.created && each.gone > revision);
    check(
      before === undefined,
      name,
      () => `${key} is given the lock at ${revision}, ${before?.key} is before it`,
    );
  }
}
