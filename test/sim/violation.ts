// What a checker throws: a promise that was broken, and which one.

export class Violation extends Error {
  override readonly name = "Violation";
  /** Name of the checker's file. */
  readonly checker: string;

  constructor(checker: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.checker = checker;
  }
}

/** @throws {Violation} unless `condition` holds; the message is only built then. */
export function check(
  condition: boolean,
  checker: string,
  message: () => string,
): asserts condition {
  if (!condition) throw new Violation(checker, message());
}
