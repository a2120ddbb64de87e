// One bucket, from rows in the order of their keys: leaves as they fill, and above them a tree of branches
// from the bottom up. There is one open page for each level, whatever the rows.
import { assert } from "../base/assert.ts";
import { compareBytes, copyBytes, emptyBytes } from "../base/bytes.ts";
import { LeafFlag, PageDraft, PageFlag, pageBytes, writeU64 } from "./page.ts";

/** bbolt's own bound of a key. */
export const keyBytesMax = 32_768;
/** A branch with a single child breaks bbolt when it takes rows away. */
const childrenMin = 2;
/** A bucket of one leaf up to this lies within the entry that names it. */
const inlineBytesMax = pageBytes / 4;
const bucketHeadBytes = 16;

/** Gives a page its place in the file. */
export interface PageSink {
  /** Takes the draft; it is empty then. @returns the number of its page. */
  put(draft: PageDraft): number;
}

interface Level {
  readonly draft: PageDraft;
  firstKey: Uint8Array;
}

export class BucketWriter {
  readonly #sink: PageSink;
  readonly #levels: Level[] = [{ draft: new PageDraft(PageFlag.leaf), firstKey: emptyBytes }];
  #lastKey: Uint8Array | undefined;

  constructor(sink: PageSink) {
    this.#sink = sink;
  }

  /** Copies a row. @throws {Mistake} unless its key is above all before it, and has 1 to `keyBytesMax` bytes. */
  add(key: Uint8Array, value: Uint8Array, flag: LeafFlag = LeafFlag.row): void {
    assert(key.length > 0 && key.length <= keyBytesMax, `a key of ${key.length} bytes`);
    const last = this.#lastKey;
    assert(last === undefined || compareBytes(last, key) < 0, "the keys of a bucket ascend");
    this.#lastKey = copyBytes(key);
    const leaf = this.#level(0);
    if (leaf.draft.count > 0 && !leaf.draft.fits(key.length + value.length)) this.#close(0);
    if (leaf.draft.count === 0) leaf.firstKey = this.#lastKey;
    leaf.draft.addRow(flag, key, value);
  }

  /** @returns what the entry of this bucket holds: a small one itself, of another its root. */
  endNested(): Uint8Array {
    const { draft } = this.#level(0);
    if (this.#levels.length > 1 || draft.bytes > inlineBytesMax) return bucketHead(this.end());
    return Buffer.concat([bucketHead(0), draft.take(0)]);
  }

  /** Closes all open pages. @returns the number of the root. */
  end(): number {
    for (let height = 0; ; height++) {
      // Closing a level may have made the next.
      if (height === this.#levels.length - 1) return this.#sink.put(this.#level(height).draft);
      this.#close(height);
    }
  }

  #level(height: number): Level {
    const level = this.#levels[height];
    assert(level !== undefined, `a level ${height}`);
    return level;
  }

  #close(height: number): void {
    const { draft, firstKey } = this.#level(height);
    const page = this.#sink.put(draft);
    if (height + 1 === this.#levels.length) {
      this.#levels.push({ draft: new PageDraft(PageFlag.branch), firstKey });
    }
    this.#addChild(height + 1, { key: firstKey, page });
  }

  #addChild(height: number, child: { readonly key: Uint8Array; readonly page: number }): void {
    const level = this.#level(height);
    const { draft } = level;
    if (draft.count > childrenMin && !draft.fits(child.key.length)) {
      // The last one goes along: the next page may get no other.
      const held = draft.takeLastChild();
      this.#close(height);
      level.firstKey = held.key;
      draft.addChild(held);
    }
    if (draft.count === 0) level.firstKey = child.key;
    draft.addChild(child);
  }
}

/** | root page u64, 0: the page follows here | sequence u64, of which nobody takes a number | */
function bucketHead(rootPage: number): Buffer {
  const head = Buffer.alloc(bucketHeadBytes);
  writeU64(head, 0, rootPage);
  return head;
}
