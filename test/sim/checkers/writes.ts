// Every acknowledged write is in the history at its revision, every write of the history was asked for,
// none happens twice or before it was asked for, and none that was refused for certain happens at all.
import { type Action, describeOperation, type Operation } from "../operation.ts";
import { check } from "../violation.ts";
import type { AppliedChange } from "./history.ts";

const name = "writes";

interface Tombstone {
  readonly key: string;
  readonly revision: number;
  readonly appliedUs: number;
}

export class Writes {
  readonly #byValue = new Map<string, Operation>();
  /** Revision at which an operation was seen to happen, and the other way round. */
  readonly #revisions = new Map<Operation, number>();
  readonly #operations = new Map<number, Operation>();
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
    return this.#revisions.get(op);
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
    for (const [op, revision] of this.#revisions) {
      check(
        op.state !== "failed",
        name,
        () => `${describeOperation(op)} was refused and happened at ${revision}`,
      );
    }
    this.#explainTombstones();
  }

  #claim(op: Operation, revision: number): void {
    const before = this.#revisions.get(op);
    check(
      before === undefined || before === revision,
      name,
      () => `${describeOperation(op)} happens at ${before} and at ${revision}`,
    );
    const other = this.#operations.get(revision);
    check(
      other === undefined || other === op,
      name,
      () =>
        `revision ${revision} belongs to ${describeOperation(op)} and ${other && describeOperation(other)}`,
    );
    check(
      revision > op.floor,
      name,
      () => `${describeOperation(op)} happens at ${revision}, before it was asked for`,
    );
    check(
      op.state !== "failed",
      name,
      () => `${describeOperation(op)} was refused and happens at ${revision}`,
    );
    this.#revisions.set(op, revision);
    this.#operations.set(revision, op);
  }

  // A deletion that nobody got an answer for must be that of a delete with unknown outcome, one each.
  // All of these may happen arbitrarily late, so the earliest call that fits is as good as any.
  #explainTombstones(): void {
    const unknown = this.#deletes.filter(
      (op) => op.state === "unknown" && !this.#revisions.has(op),
    );
    for (const { key, revision, appliedUs } of this.#tombstones) {
      if (this.#operations.has(revision)) continue;
      const at = unknown.findIndex(
        ({ action, callUs, floor }) =>
          action.kind === "delete" && action.key === key && callUs <= appliedUs && floor < revision,
      );
      check(at >= 0, name, () => `nobody deleted ${key} at ${revision}`);
      for (const op of unknown.splice(at, 1)) this.#revisions.set(op, revision);
    }
  }
}

function writtenValue(action: Action): string | undefined {
  return "value" in action ? action.value : undefined;
}
