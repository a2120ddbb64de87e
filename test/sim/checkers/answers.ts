// Every answer tells the truth about the state at the revision of its header, and that revision fits
// between call and return: with etcd's revisions, that is linearizability, decided exactly.
//
// Revisions order all writes, and a read's header names the state that it saw. Put every operation at
// its revision, reads behind the write of theirs in order of their calls. This order is legal when each
// answer fits the state at its place, and it respects real time when no operation has a place before
// one that had returned when it was called. `floor` is stricter than that: it is the highest revision
// that any member had applied at the call, whether or not a client had heard of it.
import type { RangeResult, TxnResult } from "../../../src/apply/outcome.ts";
import { describeOperation, type Guard, keysFrom, keysTo, type Operation } from "../operation.ts";
import { check, Violation } from "../violation.ts";
import { type History, type Pair, pairOfRow } from "./history.ts";
import type { Writes } from "./writes.ts";

const name = "answers";

export class Answers {
  readonly #history: History;
  readonly #writes: Writes;

  constructor(history: History, writes: Writes) {
    this.#history = history;
    this.#writes = writes;
  }

  /** A put, or a txn that put, says that it happened at `revision`. */
  put(op: Operation, key: string, value: string, revision: number): void {
    const pair = this.#history.at(key, revision);
    check(
      pair?.modified === revision && pair.value === value,
      name,
      () => `${describeOperation(op)} is acknowledged at ${revision}, which is not there`,
    );
    this.#happened(op, revision);
  }

  /** `row` is the pair before a put or delete at `revision`. */
  previous(op: Operation, key: string, row: Uint8Array | undefined, revision: number): void {
    this.#pair(op, key, row, revision - 1);
  }

  deleted(
    op: Operation,
    key: string,
    { count, revision }: { count: number; revision: number },
  ): void {
    if (count === 0) {
      this.#pair(op, key, undefined, revision);
      this.#fresh(op, revision);
      return;
    }
    check(
      count === 1 && this.#history.deletes(key, revision),
      name,
      () => `${describeOperation(op)} deletes ${count} at ${revision}, which is not there`,
    );
    this.#happened(op, revision);
  }

  /** The txn of a clear: a deletion of all keys, then the marker. */
  cleared(op: Operation, markerKey: string, value: string, result: TxnResult): void {
    this.put(op, markerKey, value, result.revision);
    const [first] = result.results;
    const count = first?.kind === "deleteRange" ? first.deleted : -1;
    const before = this.#living(result.revision - 1).length;
    check(
      count === before && this.#living(result.revision).length === 0,
      name,
      () => `${describeOperation(op)} says it deleted ${count} of ${before} at ${result.revision}`,
    );
  }

  /** @returns what the failed swap read. */
  swap(
    op: Operation,
    { key, guard, value }: { key: string; guard: Guard; value: string },
    result: TxnResult,
  ): ReadonlyMap<string, string> | undefined {
    const { revision, succeeded } = result;
    const before = this.#history.at(key, succeeded ? revision - 1 : revision);
    check(
      holds(guard, before) === succeeded,
      name,
      () => `${describeOperation(op)}: the guard decides wrongly at ${revision}`,
    );
    if (succeeded) {
      this.put(op, key, value, revision);
      return undefined;
    }
    const [first] = result.results;
    if (first?.kind !== "range")
      throw new Violation(name, `${describeOperation(op)} reads nothing`);
    this.#fresh(op, revision);
    return this.#rows(op, [key], first, revision);
  }

  /** A read of one key, or of all, linearizable unless `stale`. @returns values by key. */
  read(
    op: Operation,
    result: RangeResult,
    options: { key: string | undefined; at: number; stale: boolean },
  ): ReadonlyMap<string, string> {
    const { key, at, stale } = options;
    if (!stale) this.#fresh(op, result.revision);
    check(
      result.revision <= this.#history.latest,
      name,
      () => `${describeOperation(op)} is answered from the future, at ${result.revision}`,
    );
    const revision = at > 0 ? at : result.revision;
    const keys = key === undefined ? this.#living(revision).sort() : [key];
    return this.#rows(op, keys, result, revision);
  }

  #happened(op: Operation, revision: number): void {
    this.#writes.onDone(op, revision);
  }

  #fresh(op: Operation, revision: number): void {
    check(
      revision >= op.floor,
      name,
      () => `${describeOperation(op)} is answered from the past, at ${revision}`,
    );
  }

  #living(revision: number): string[] {
    return this.#history.living({ from: keysFrom, to: keysTo, revision });
  }

  /** The rows must be exactly the living ones of `keys`, in this order. */
  #rows(
    op: Operation,
    keys: readonly string[],
    result: RangeResult,
    revision: number,
  ): ReadonlyMap<string, string> {
    const living = keys.filter((key) => this.#history.at(key, revision) !== undefined);
    const seen = new Map<string, string>();
    check(
      result.rows.length === living.length && result.count === living.length && !result.more,
      name,
      () =>
        `${describeOperation(op)} finds ${result.rows.length} of ${living.length} at ${revision}`,
    );
    for (const [i, key] of living.entries()) {
      const value = this.#pair(op, key, result.rows[i], revision);
      if (value !== undefined) seen.set(key, value);
    }
    return seen;
  }

  #pair(
    op: Operation,
    key: string,
    row: Uint8Array | undefined,
    revision: number,
  ): string | undefined {
    const want = this.#history.at(key, revision);
    const found = row === undefined ? undefined : pairOfRow(row);
    check(
      found === undefined ? want === undefined : found.key === key && isSamePair(found.pair, want),
      name,
      () =>
        `${describeOperation(op)} sees ${describe(found?.pair)} at ${revision}, it is ${describe(want)}`,
    );
    return want?.value;
  }
}

export function holds(guard: Guard, pair: Pair | undefined): boolean {
  switch (guard.kind) {
    case "value":
      return pair?.value === guard.value;
    case "mod":
      return (pair?.modified ?? 0) === guard.revision;
    case "absent":
      return pair === undefined;
  }
}

function isSamePair(a: Pair, b: Pair | undefined): boolean {
  return (
    b !== undefined &&
    a.value === b.value &&
    a.created === b.created &&
    a.modified === b.modified &&
    a.version === b.version
  );
}

const describe = (pair: Pair | undefined): string =>
  pair === undefined
    ? "nothing"
    : `${pair.value.slice(0, 12)} (${pair.created}, ${pair.modified}, ${pair.version})`;
