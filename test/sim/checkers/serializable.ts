// A serializable read shows some past state whole, and one life of a member never goes back in time.
import type { RangeResult } from "../../../src/apply/outcome.ts";
import type { MemberId } from "../../../src/base/brand.ts";
import { describeOperation, type Operation } from "../operation.ts";
import { check } from "../violation.ts";
import type { Answers } from "./answers.ts";

const name = "serializable";

export class Serializable {
  readonly #answers: Answers;
  readonly #shown = new Map<MemberId, number>();

  constructor(answers: Answers) {
    this.#answers = answers;
  }

  /** A new life reads its store, which is older than what the last one held in memory. */
  onStart(id: MemberId): void {
    this.#shown.delete(id);
  }

  /** @param key undefined: all keys. */
  read(id: MemberId, op: Operation, result: RangeResult, key: string | undefined): void {
    const shown = this.#shown.get(id) ?? 0;
    check(
      result.revision >= shown,
      name,
      () => `${describeOperation(op)}: m${id} goes back from ${shown} to ${result.revision}`,
    );
    this.#shown.set(id, result.revision);
    this.#answers.read(op, result, { key, at: 0, stale: true });
  }
}
