// What earlier rounds left behind stays as it is, through every crash since. Only a request that was never
// answered may still happen.
import { check } from "../../sim/violation.ts";
import { type Call, describePair, isSamePair, type KeySpace, type SeenPair } from "../call.ts";

const name = "settled";

/** Rounds that are remembered; older ones are no longer looked at. */
export const settledRoundsMax = 50;

interface SettledRound {
  readonly space: KeySpace;
  readonly pairs: ReadonlyMap<string, SeenPair>;
  /** Values that may yet be put, and keys that may yet be deleted. */
  readonly lateValues: ReadonlySet<string>;
  readonly lateDeletes: ReadonlySet<string>;
}

export class Settled {
  readonly #rounds: SettledRound[] = [];

  /** A round is over, and this is what its keys hold. */
  add(space: KeySpace, pairs: ReadonlyMap<string, SeenPair>, calls: readonly Call[]): void {
    const unknown = calls.filter(({ state }) => state === "unknown").map(({ action }) => action);
    this.#rounds.push({
      space,
      pairs,
      lateValues: new Set(unknown.flatMap((action) => ("value" in action ? action.value : []))),
      lateDeletes: new Set(
        unknown.flatMap((action) => (action.kind === "delete" ? action.key : [])),
      ),
    });
    if (this.#rounds.length > settledRoundsMax) this.#rounds.shift();
  }

  /** @param stored all keys. @throws {Violation} */
  check(stored: ReadonlyMap<string, SeenPair>): void {
    for (const { space, pairs, lateValues, lateDeletes } of this.#rounds) {
      for (const key of space.keys) {
        const [found, left] = [stored.get(key), pairs.get(key)];
        const isLate =
          found === undefined
            ? lateDeletes.has(key)
            : lateValues.has(found.value) && found.modified > (left?.modified ?? 0);
        check(
          isSamePair(found, left) || isLate,
          name,
          () => `${key} was left as ${describePair(left)} and is ${describePair(found)}`,
        );
      }
    }
  }
}
