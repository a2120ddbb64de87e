// Who is a member: all members say the same, and when those that joined have been removed, the cluster is
// what it was in the beginning. Nobody that was removed comes back, through no crash.
import { check } from "../../sim/violation.ts";

const name = "members";

/** Ids as one member lists them, in any order. */
export type MemberIds = readonly string[];

export class Members {
  #first: string | undefined;

  /** While some have joined. @throws {Violation} */
  agree(lists: readonly MemberIds[]): void {
    const told = lists.map((ids) => [...ids].sort().join(" "));
    check(new Set(told).size <= 1, name, () => `members differ: ${told.join(" | ")}`);
  }

  /** When all that joined are removed. @throws {Violation} */
  settled(lists: readonly MemberIds[]): void {
    this.agree(lists);
    const [ids = []] = lists;
    const told = [...ids].sort().join(" ");
    this.#first ??= told;
    check(told === this.#first, name, () => `${told} where ${this.#first} should be`);
  }
}
