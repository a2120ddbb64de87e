// A whole bbolt file, written front to back. Its first pages name its root, which comes last: so it is made
// twice from the same rows, once for its shape and once for its bytes.
//
//   | meta 0 | meta 1 | freelist, empty | leaves and branches of the buckets | those of the root |
import { assert } from "../base/assert.ts";
import { compareBytes } from "../base/bytes.ts";
import { BucketWriter, type PageSink } from "./bucketWriter.ts";
import { emptyFreelistPage, LeafFlag, metaPage, type PageDraft, pageBytes } from "./page.ts";

const freelistPage = 2;
const firstPage = 3;

export interface FileShape {
  readonly rootPage: number;
  /** Of the whole file. */
  readonly pageCount: number;
}

/** The first pages of a file of this shape; the others follow at once. */
export function headPages({ rootPage, pageCount }: FileShape): readonly Buffer[] {
  const meta = { rootPage, pageCount, freelistPage };
  return [metaPage(0, meta), metaPage(1, meta), emptyFreelistPage(freelistPage)];
}

/** Takes a page, or a run of them: the bytes, valid only within the call, and how many zeros fill its end. */
export type PutPages = (bytes: Buffer, fillBytes: number) => void;

/** All pages behind the first ones. */
export class DbFileWriter implements PageSink {
  readonly #put: PutPages;
  readonly #buckets: { readonly name: Uint8Array; readonly entry: Uint8Array }[] = [];
  #open: { readonly name: Uint8Array; readonly writer: BucketWriter } | undefined;
  #nextPage = firstPage;

  /** @param put gets the pages in the order of the file. */
  constructor(put: PutPages) {
    this.#put = put;
  }

  /** Begins the next bucket, which ends the last; buckets come in any order, and each once. */
  bucket(name: string): BucketWriter {
    this.#endBucket();
    const writer = new BucketWriter(this);
    this.#open = { name: Buffer.from(name, "latin1"), writer };
    return writer;
  }

  /** Writes the root. */
  finish(): FileShape {
    this.#endBucket();
    const root = new BucketWriter(this);
    this.#buckets.sort((a, b) => compareBytes(a.name, b.name));
    for (const { name, entry } of this.#buckets) root.add(name, entry, LeafFlag.bucket);
    const rootPage = root.end();
    return { rootPage, pageCount: this.#nextPage };
  }

  put(draft: PageDraft): number {
    const page = this.#nextPage;
    const bytes = draft.take(page);
    const pageCount = Math.ceil(bytes.length / pageBytes);
    this.#nextPage += pageCount;
    assert(Number.isSafeInteger(this.#nextPage * pageBytes), "a file that can be counted");
    this.#put(bytes, pageCount * pageBytes - bytes.length);
    return page;
  }

  #endBucket(): void {
    const open = this.#open;
    if (open === undefined) return;
    this.#buckets.push({ name: open.name, entry: open.writer.endNested() });
    this.#open = undefined;
  }
}
