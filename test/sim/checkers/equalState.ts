// Members that applied the same entries hold the same state: hash and revision at each applied index.
import type { LogIndex, MemberId } from "../../../src/base/brand.ts";
import { Violation } from "../violation.ts";

const name = "equalState";

export interface StateMark {
  readonly applied: LogIndex;
  readonly revision: number;
  readonly hash: number;
}

interface Known extends StateMark {
  readonly id: MemberId;
}

export class EqualState {
  /** Position is the applied index; a turn may leave some out. */
  readonly #known: (Known | undefined)[] = [];

  see(id: MemberId, { applied, revision, hash }: StateMark): void {
    const known = this.#known[applied];
    if (known === undefined) {
      this.#known[applied] = { id, applied, revision, hash };
      return;
    }
    if (known.hash === hash && known.revision === revision) return;
    throw new Violation(
      name,
      `at entry ${applied} m${id} holds revision ${revision} hash ${hash}, ` +
        `m${known.id} revision ${known.revision} hash ${known.hash}`,
    );
  }
}
