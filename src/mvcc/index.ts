// The keys: a table for points, sorted chunks for ranges, history apart. A key is known by its slot, a
// number that it keeps until it is removed. Overwrites never touch the chunks; only keys that appear,
// die, revive or vanish do.
import { assert } from "../base/assert.ts";
import { Revision } from "../base/brand.ts";
import { fromLatin1, type Span, spanOf } from "../base/bytes.ts";
import type { HashSeed } from "./keyHash.ts";
import { type Drop, KeyHistory, type KeyVersion, type LastChange } from "./keyHistory.ts";
import { KeyTable, noKey } from "./keyTable.ts";
import { NumberRuns } from "./numberRuns.ts";
import { sortByKey } from "./sortByKey.ts";
import { type KeyRange, SortedKeys } from "./sortedKeys.ts";

const noSeed: HashSeed = { low: 0, high: 0 };

export class Index {
  readonly #table: KeyTable;
  readonly #sorted: SortedKeys;
  /** The table keeps the place in here of each key that has a history; 0 is nobody's. */
  readonly #histories: (KeyHistory | undefined)[] = [undefined];
  readonly #freeHistories: number[] = [];
  readonly #runs = new NumberRuns();

  /** @param seed of the hashes; nothing that can be seen depends on it. */
  constructor(seed: HashSeed = noSeed) {
    this.#table = new KeyTable(seed);
    this.#sorted = new SortedKeys(this.#table);
  }

  /** Keys, dead ones included. */
  get size(): number {
    return this.#table.size;
  }

  /** @returns the slot of a key, dead or alive, or `noKey`. */
  find(key: Span): number {
    return this.#table.find(key);
  }

  /** The same for a key in latin1. */
  findText(key: string): number {
    return this.#table.find(spanOf(fromLatin1(key)));
  }

  /** Records a put, later than everything before. @returns the slot of the key. */
  put(key: Span, main: number, sub: number): number {
    const table = this.#table;
    const found = table.find(key);
    if (found === noKey) return this.#create(key, main, sub);
    const version = table.version(found);
    if (version === 0) {
      this.#sorted.noteDead(found, -1);
      table.setLife(found, main, 1);
    } else {
      this.#historyOf(found).remember(table.main(found), table.sub(found));
      table.setVersion(found, version + 1);
    }
    table.setChange(found, main, sub);
    return found;
  }

  /** Ends the life of a living key. */
  tombstone(slot: number, main: number, sub: number): void {
    assert(this.isAlive(slot), "only a living key can be deleted");
    this.#endLife(slot, main, sub);
    this.#sorted.noteDead(slot, 1);
  }

  /** Forgets a dead key altogether. */
  remove(slot: number): void {
    assert(!this.isAlive(slot), "only dead keys leave the index");
    this.#sorted.remove(slot);
    this.#forgetHistory(slot);
    this.#table.remove(slot);
  }

  /** Slots in ascending order of keys, dead ones included, until `visit` returns false. It must not change the index. */
  visit(range: KeyRange, visit: (slot: number) => boolean): void {
    this.#sorted.visit(range, visit);
  }

  /** Living keys of a range; costs a step per chunk, not per key. */
  countAlive(range: KeyRange): number {
    return this.#sorted.countAlive(range);
  }

  /** Main revision of the last change; of the tombstone when the key is dead. */
  main(slot: number): number {
    return this.#table.main(slot);
  }

  sub(slot: number): number {
    return this.#table.sub(slot);
  }

  /** Create revision of the current life; 0 when dead. */
  created(slot: number): number {
    return this.#table.created(slot);
  }

  /** Puts of the current life; 0 when dead. */
  version(slot: number): number {
    return this.#table.version(slot);
  }

  isAlive(slot: number): boolean {
    return this.#table.version(slot) > 0;
  }

  /** Where the bytes of the key are, until it is removed. */
  key(slot: number): Span {
    return this.#table.span(slot);
  }

  /** The key as latin1. */
  text(slot: number): string {
    return this.#table.text(slot);
  }

  /** The version visible at a revision; undefined when there was none, or a tombstone. */
  at(slot: number, revision: number): KeyVersion | undefined {
    if (revision >= this.#table.main(slot)) return this.current(slot);
    return this.#histories[this.#table.history(slot)]?.at(revision, this.#last(slot));
  }

  /** The version of now; undefined for a dead key. */
  current(slot: number): KeyVersion | undefined {
    const version = this.#table.version(slot);
    if (version === 0) return undefined;
    return {
      created: Revision(this.#table.created(slot)),
      modified: Revision(this.#table.main(slot)),
      sub: this.#table.sub(slot),
      version,
    };
  }

  /** False when `compact` would change nothing, at any revision. */
  hasHistory(slot: number): boolean {
    return this.#table.history(slot) !== 0;
  }

  /**
   * Forgets what nobody can see from `revision` on: of each life the puts before the last at or below
   * it, and lives that ended before it. A tombstone at exactly `revision` stays, so that a watch
   * starting there sees it (semantics, section 6).
   *
   * @param drop gets the forgotten revisions.
   * @returns true when nothing is left of the key: it can be removed.
   */
  compact(slot: number, revision: number, drop: Drop): boolean {
    const history = this.#histories[this.#table.history(slot)];
    if (history === undefined) return false;
    history.compact(revision, this.#table.main(slot), drop);
    if (!history.isEmpty) return false;
    this.#forgetHistory(slot);
    return !this.isAlive(slot);
  }

  /** Before the first `restore`. @param rows to come, each of a key of its own at most. */
  reserve(rows: number): void {
    this.#table.reserve(rows);
  }

  /** The slot of a row read at boot; `seal` must follow before anything but `find` and the two below. */
  restore(key: Span): number {
    const found = this.#table.find(key);
    return found === noKey ? this.#table.add(key) : found;
  }

  /** Records a put as its row tells it; earlier ones of its life may have been compacted away. */
  restorePut(slot: number, { main, sub, created, version }: LastChange): void {
    const table = this.#table;
    if (table.version(slot) > 0) {
      this.#historyOf(slot).remember(table.main(slot), table.sub(slot));
    }
    table.setChange(slot, main, sub);
    table.setLife(slot, created, version);
  }

  /** Records a tombstone; what it ended may have been compacted away. */
  restoreTombstone(slot: number, main: number, sub: number): void {
    this.#endLife(slot, main, sub);
  }

  /** Sorts what `restore` made. */
  seal(): void {
    const slots = this.#table.slots();
    sortByKey(this.#table, slots);
    this.#sorted.fill(slots);
  }

  #create(key: Span, main: number, sub: number): number {
    const slot = this.#table.add(key);
    this.#table.setChange(slot, main, sub);
    this.#table.setLife(slot, main, 1);
    this.#sorted.add(slot);
    return slot;
  }

  #endLife(slot: number, main: number, sub: number): void {
    const last = this.isAlive(slot) ? this.#last(slot) : undefined;
    this.#historyOf(slot).bury(last, main, sub);
    this.#table.setChange(slot, main, sub);
    this.#table.setLife(slot, 0, 0);
  }

  #last(slot: number): LastChange {
    const table = this.#table;
    return {
      main: table.main(slot),
      sub: table.sub(slot),
      created: table.created(slot),
      version: table.version(slot),
    };
  }

  #historyOf(slot: number): KeyHistory {
    const known = this.#histories[this.#table.history(slot)];
    if (known !== undefined) return known;
    const history = new KeyHistory(this.#runs);
    const place = this.#freeHistories.pop() ?? this.#histories.length;
    this.#histories[place] = history;
    this.#table.setHistory(slot, place);
    return history;
  }

  #forgetHistory(slot: number): void {
    const place = this.#table.history(slot);
    if (place === 0) return;
    this.#histories[place] = undefined;
    this.#freeHistories.push(place);
    this.#table.setHistory(slot, 0);
  }
}
