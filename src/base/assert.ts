// Mistakes of our own. They are never caught: the member crashes and is restarted.

/** Thrown where the program contradicts itself. */
export class Mistake extends Error {
  override readonly name = "Mistake";
}

/** @throws {Mistake} unless `condition` holds. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Mistake(message);
}

/** @throws {Mistake} always; for branches that cannot be taken. */
export function unreachable(message: string): never {
  throw new Mistake(message);
}
