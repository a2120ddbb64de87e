// Where clients and the tester find the members of whatever cluster is under test.

export interface Reachable {
  /** Every member that there may be. */
  readonly names: readonly string[];
  /** host:port of their client doors, in the order of `names`; undefined or missing: nobody is there now. */
  readonly endpoints: readonly (string | undefined)[];
  /** What was printed lately, for failures. */
  readonly output: string;
}
