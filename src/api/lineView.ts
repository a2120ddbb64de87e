// Who stands in one line, in the order of create revisions: read once, then kept by what the hub tells of
// its keys. So a call that waits costs the same in a line of two and of a hundred thousand: it hears of
// nobody but whoever is right before it.
import { toLatin1 } from "../base/bytes.ts";

/** One key of the line. Later ones have higher create revisions, so new ones come at the end. */
interface Spot {
  readonly key: string;
  readonly createRevision: number;
  before: Spot | undefined;
  behind: Spot | undefined;
}

/**
 * - `first`: nobody is before it
 * - `waits`: somebody is
 * - `later`: the view has not heard of it yet
 * - `gone`: it is no more
 */
export type Standing = "first" | "waits" | "later" | "gone";

export class LineView<Turn> {
  readonly #spots = new Map<string, Spot>();
  /** Who wants to know what becomes of a key. */
  readonly #turns = new Map<string, Set<Turn>>();
  readonly #onMoved: (turn: Turn) => void;
  #last: Spot | undefined;
  #heard: number;

  /**
   * @param heard the revision of the state that `add` tells of first.
   * @param onMoved the turn's place is known now, nobody is before it any more, or it is gone.
   */
  constructor(heard: number, onMoved: (turn: Turn) => void) {
    this.#heard = heard;
    this.#onMoved = onMoved;
  }

  /** Nobody waits here. */
  get isIdle(): boolean {
    return this.#turns.size === 0;
  }

  get turns(): readonly Turn[] {
    return [...this.#turns.values()].flatMap((turns) => [...turns]);
  }

  /** Keys in line. */
  get length(): number {
    return this.#spots.size;
  }

  /** A key was put, or found. In the order of revisions. */
  add(key: Uint8Array, createRevision: number): void {
    const text = toLatin1(key);
    const known = this.#spots.get(text);
    // Put again in the same life, it keeps its place.
    if (known?.createRevision === createRevision) return;
    if (known !== undefined) this.#unlink(known);
    const spot = { key: text, createRevision, before: this.#last, behind: undefined };
    if (this.#last !== undefined) this.#last.behind = spot;
    this.#last = spot;
    this.#spots.set(text, spot);
    this.#tell(text);
  }

  remove(key: Uint8Array): void {
    const spot = this.#spots.get(toLatin1(key));
    if (spot !== undefined) this.#unlink(spot);
  }

  /** Everything up to `revision` was told. */
  heardUpTo(revision: number): void {
    this.#heard = Math.max(this.#heard, revision);
  }

  standing({ key, createRevision }: { key: Uint8Array; createRevision: number }): Standing {
    const spot = this.#spots.get(toLatin1(key));
    if (spot?.createRevision === createRevision) {
      return spot.before === undefined ? "first" : "waits";
    }
    return this.#heard >= createRevision ? "gone" : "later";
  }

  join(key: Uint8Array, turn: Turn): void {
    const text = toLatin1(key);
    const turns = this.#turns.get(text);
    if (turns === undefined) this.#turns.set(text, new Set([turn]));
    else turns.add(turn);
  }

  leave(key: Uint8Array, turn: Turn): void {
    const text = toLatin1(key);
    const turns = this.#turns.get(text);
    if (turns?.delete(turn) && turns.size === 0) this.#turns.delete(text);
  }

  #unlink(spot: Spot): void {
    const { key, before, behind } = spot;
    this.#spots.delete(key);
    if (before !== undefined) before.behind = behind;
    if (behind === undefined) this.#last = before;
    else behind.before = before;
    this.#tell(key);
    if (before === undefined && behind !== undefined) this.#tell(behind.key);
  }

  #tell(key: string): void {
    for (const turn of this.#turns.get(key) ?? []) this.#onMoved(turn);
  }
}
