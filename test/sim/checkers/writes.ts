// Every acknowledged write is in the history at its revision, every write of the history was asked for,
// none happens twice or before it was asked for, and none that was refused for certain happens at all.
import { type Action, describeOperation, type Operation } from "../operation.ts";
import { check, Violation } from "../violation.ts";
import type { AppliedChange } from "./history.ts";

const name = "writes";

interface Tombstone {
  readonly key: string;
  readonly revision: number;
  readonly appliedUs: number;
}

export class Writes {
  readonly #byValue = new Map<string, Operation>();
  /** Revision at which an operation was seen to happen, by its number, and the other way round. */
  readonly #revisions: (number | undefined)[] = [];
  readonly #operations: (Operation | undefined)[] = [];
  readonly #deletes: Operation[] = [];
  /** Revisions that deleted a key and put nothing: only their answers tell whose they are. */
  readonly #tombstones: Tombstone[] = [];

  onCall(op: Operation): void {
    const value = writtenValue(op.action);
    if (value !== undefined) this.#byValue.set(value, op);
    if (op.action.kind === "delete") this.#deletes.push(op);
  }

  /** Where an operation was seen to happen, answered or not; complete after `finish`. */
  revisionOf(op: Operation): number | undefined {
    return this.#revisions[op.id];
  }

  /** A revision was applied for the first time. */
  onRevision(revision: number, changes: readonly AppliedChange[], nowUs: number): void {
    const put = changes.find(({ pair }) => pair !== undefined);
    if (put?.pair === undefined) {
      const [first] = changes;
      check(changes.length === 1 && first !== undefined, name, () => `${revision} deletes no key`);
      this.#tombstones.push({ key: first.key, revision, appliedUs: nowUs });
      return;
    }
    const op = this.#byValue.get(put.pair.value);
    check(op !== undefined, name, () => `revision ${revision} puts a value that nobody asked for`);
    this.#claim(op, revision);
  }

  /** A write was answered with the revision at which it happened. */
  onDone(op: Operation, revision: number): void {
    this.#claim(op, revision);
  }

  /** At the end, when nothing can happen any more. */
  finish(): void {
    for (const [revision, op] of this.#operations.entries()) {
      check(
        op?.state !== "failed",
        name,
        () => `${op && describeOperation(op)} was refused and happened at ${revision}`,
      );
    }
    this.#explainTombstones();
  }

  #claim(op: Operation, revision: number): void {
    const why = this.#whyNot(op, revision);
    if (why !== undefined) throw new Violation(name, why);
    this.#revisions[op.id] = revision;
    this.#operations[revision] = op;
  }

  #whyNot(op: Operation, revision: number): string | undefined {
    const before = this.#revisions[op.id];
    if (before !== undefined && before !== revision)
      return `${describeOperation(op)} happens at ${before} and at ${revision}`;
    const other = this.#operations[revision];
    if (other !== undefined && other !== op)
      return `revision ${revision} belongs to ${describeOperation(op)} and ${describeOperation(other)}`;
    if (revision <= op.floor)
      return `${describeOperation(op)} happens at ${revision}, before it was asked for`;
    if (op.state === "failed")
      return `${describeOperation(op)} was refused and happens at ${revision}`;
    return undefined;
  }

  // A deletion that nobody got an answer for must be that of a delete with unknown outcome, one each.
  // All of these may happen arbitrarily late, so the earliest call that fits is as good as any.
  #explainTombstones(): void {
    const unknown = this.#deletes.filter(
      (op) => op.state === "unknown" && this.revisionOf(op) === undefined,
    );
    for (const { key, revision, appliedUs } of this.#tombstones) {
      if (this.#operations[revision] !== undefined) continue;
      const at = unknown.findIndex(
        ({ action, callUs, floor }) =>
          action.kind === "delete" && action.key === key && callUs <= appliedUs && floor < revision,
      );
      check(at >= 0, name, () => `nobody deleted ${key} at ${revision}`);
      for (const op of unknown.splice(at, 1)) this.#revisions[op.id] = revision;
    }
  }
}

function writtenValue(action: Action): string | undefined {
  return "value" in action ? action.value : undefined;
}
