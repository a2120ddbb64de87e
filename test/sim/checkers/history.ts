// The one history of the key space, as the first member to apply each revision tells it; every other
// member, in every life, must tell the same. Whatever clients see is judged against it.

import { type MemberId, Revision } from "../../../src/base/brand.ts";
import { equalBytes, toLatin1 } from "../../../src/base/bytes.ts";
import type { Change } from "../../../src/mvcc/state.ts";
import { decodeKeyValue } from "../../../src/proto/keyValue.ts";
import { Malformed } from "../../../src/proto/reader.ts";
import { check, Violation } from "../violation.ts";

const name = "history";

/** What one revision did to one key. */
export interface Pair {
  readonly value: string;
  readonly created: number;
  readonly modified: number;
  readonly version: number;
}

interface Moment {
  readonly revision: number;
  /** undefined: deleted. */
  readonly pair: Pair | undefined;
}

/** Hears of each revision once. */
export type OnRevision = (revision: number, changes: readonly AppliedChange[]) => void;

export interface AppliedChange {
  readonly key: string;
  /** undefined: deleted. */
  readonly pair: Pair | undefined;
}

/** The revision of a store without changes. */
const firstRevision = 1;

export class History {
  readonly #onRevision: OnRevision;
  /** Position is revision - 2. */
  readonly #changes: (readonly Change[])[] = [];
  readonly #applied: (readonly AppliedChange[])[] = [];
  readonly #moments = new Map<string, Moment[]>();
  readonly #told = new Map<MemberId, number>();

  constructor(onRevision: OnRevision) {
    this.#onRevision = onRevision;
  }

  /** Highest revision that any member has applied. */
  get latest(): Revision {
    return Revision(this.#changes.length + firstRevision);
  }

  /** A life begins with a store at `revision`. */
  onStart(id: MemberId, revision: number): void {
    check(revision <= this.latest, name, () => `m${id} starts at the unheard of ${revision}`);
    this.#told.set(id, revision);
  }

  onChanges(id: MemberId, revision: number, changes: readonly Change[]): void {
    const last = this.#told.get(id) ?? 0;
    if (revision !== last + 1) {
      throw new Violation(name, `m${id} applies revision ${revision} after ${last}`);
    }
    this.#told.set(id, revision);
    if (revision > this.latest) this.#take(revision, changes);
    else this.#compare(id, revision, changes);
  }

  /** The pair as of `revision`; undefined when there is none. */
  at(key: string, revision: number): Pair | undefined {
    const moments = this.#moments.get(key);
    if (moments === undefined) return undefined;
    // Nearly always among the last few.
    let i = moments.length - 1;
    while (i >= 0 && (moments[i]?.revision ?? 0) > revision) i--;
    return moments[i]?.pair;
  }

  /** Keys in [from, to) that live as of `revision`, in no order. */
  living({ from, to, revision }: { from: string; to: string; revision: number }): string[] {
    return [...this.#moments.keys()].filter(
      (key) => key >= from && key < to && this.at(key, revision) !== undefined,
    );
  }

  /** Rows that a store must hold when it was compacted at `floor`, and no other. */
  rowsBehind(floor: number): number {
    let count = 0;
    for (const moments of this.#moments.values()) {
      const kept = moments.filter(({ revision }) => revision > floor).length;
      const shown = moments[moments.length - kept - 1];
      // Its floor shows what was last put, or that it was deleted by the very revision of the floor.
      const isShown = shown?.pair !== undefined || (floor > 0 && shown?.revision === floor);
      count += kept + (isShown ? 1 : 0);
    }
    return count;
  }

  /** Whether this very revision deleted the key. */
  deletes(key: string, revision: number): boolean {
    return this.changesOf(revision).some((change) => change.key === key && !change.pair);
  }

  /** What a revision changed, in the order of its txn. */
  changesOf(revision: number): readonly AppliedChange[] {
    return this.#applied[revision - firstRevision - 1] ?? [];
  }

  #take(revision: number, changes: readonly Change[]): void {
    this.#changes.push(changes.map(({ kind, key, row }) => ({ kind, key, row: row.slice() })));
    const applied = changes.map((change) => ({ key: change.key, pair: this.#pairOf(change) }));
    for (const { key, pair } of applied) {
      check(
        pair === undefined || pair.modified === revision,
        name,
        () => `revision ${revision} puts ${key} with mod revision ${pair?.modified}`,
      );
      const moments = this.#moments.get(key) ?? [];
      this.#checkLife(key, moments.at(-1)?.pair, pair);
      moments.push({ revision, pair });
      this.#moments.set(key, moments);
    }
    this.#applied.push(applied);
    this.#onRevision(revision, applied);
  }

  #pairOf({ kind, row }: Change): Pair | undefined {
    if (kind === "delete") return undefined;
    return pairOfRow(row).pair;
  }

  /** Create revision and version go on while a key lives, and begin anew after its death. */
  #checkLife(key: string, before: Pair | undefined, after: Pair | undefined): void {
    if (after === undefined) return;
    const created = before?.created ?? after.modified;
    const version = (before?.version ?? 0) + 1;
    check(
      after.created === created && after.version === version,
      name,
      () => `${key} at ${after.modified}: created ${after.created} version ${after.version}`,
    );
  }

  #compare(id: MemberId, revision: number, changes: readonly Change[]): void {
    const known = this.#changes[revision - firstRevision - 1] ?? [];
    let agrees = known.length === changes.length;
    for (let i = 0; i < known.length; i++) agrees &&= isSameChange(known[i], changes[i]);
    if (agrees) return;
    throw new Violation(name, `m${id} applies another revision ${revision} than others did`);
  }
}

function isSameChange(a: Change | undefined, b: Change | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  return a.kind === b.kind && a.key === b.key && equalBytes(a.row, b.row);
}

/** @throws {Violation} for bytes that are no pair. */
export function pairOfRow(row: Uint8Array): { readonly key: string; readonly pair: Pair } {
  const kv = decodeKeyValue(row);
  if (kv instanceof Malformed) throw new Violation(name, `a row that is no pair: ${kv.why}`);
  const { createRevision: created, modRevision: modified, version } = kv;
  const value = toLatin1(kv.value);
  return { key: toLatin1(kv.key), pair: { value, created, modified, version } };
}
