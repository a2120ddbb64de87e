// A file of pinned rows, as etcd would keep them, in pieces: the rows are read once for its length and once
// for its bytes, so that neither needs more memory than the largest row.
import { EtcdFile } from "../apply/etcdFile.ts";
import { assert } from "../base/assert.ts";
import { DbFileWriter, type FileShape, headPages } from "../bolt/dbFile.ts";
import { pageBytes } from "../bolt/page.ts";
import type { PinnedRows } from "../storage/engine.ts";

/** As etcd cuts its file: a message each. */
export const pieceBytes = 32_768;

export class SnapshotFile {
  readonly #rows: PinnedRows;
  readonly #pieces = new Pieces();
  #file: DbFileWriter;
  #state: EtcdFile;
  #shape: FileShape | undefined;
  #isWritten = false;

  /** @param rows stay the caller's, and are read by nobody else. */
  constructor(rows: PinnedRows) {
    this.#rows = rows;
    this.#file = new DbFileWriter(() => {});
    this.#state = new EtcdFile(rows, this.#file);
  }

  /** Undefined until it is measured. */
  get fileBytes(): number | undefined {
    return this.#shape && this.#shape.pageCount * pageBytes;
  }

  get isEnded(): boolean {
    return this.#isWritten && this.#pieces.isEmpty;
  }

  /** Reads on until `hasTime`, asked behind each row, says no. @returns true when the length is known. */
  measure(hasTime: () => boolean): boolean {
    if (!this.#state.step(hasTime)) return false;
    const shape = this.#file.finish();
    this.#shape = shape;
    this.#rows.rewind();
    this.#file = new DbFileWriter((bytes, fillBytes) => this.#pieces.add(bytes, fillBytes));
    this.#state = new EtcdFile(this.#rows, this.#file);
    for (const page of headPages(shape)) this.#pieces.add(page, 0);
    return true;
  }

  /** The next `pieceBytes`, or what is left; undefined when there was no time to read so far, or at the end. */
  next(hasTime: () => boolean): Uint8Array | undefined {
    assert(this.#shape !== undefined, "a file is measured before it is written");
    if (!this.#isWritten && !this.#pieces.hasWhole) this.#write(this.#shape, hasTime);
    return this.#pieces.hasWhole || this.#isWritten ? this.#pieces.take() : undefined;
  }

  #write(shape: FileShape, hasTime: () => boolean): void {
    if (!this.#state.step(() => !this.#pieces.hasWhole && hasTime())) return;
    const { rootPage, pageCount } = this.#file.finish();
    const isAsMeasured = rootPage === shape.rootPage && pageCount === shape.pageCount;
    assert(isAsMeasured, "the same rows make the same file");
    this.#isWritten = true;
  }
}

/** Pages in, pieces out. */
class Pieces {
  readonly #whole: Buffer[] = [];
  #open = Buffer.allocUnsafeSlow(pieceBytes);
  #length = 0;

  get hasWhole(): boolean {
    return this.#whole.length > 0;
  }

  get isEmpty(): boolean {
    return this.#whole.length === 0 && this.#length === 0;
  }

  /** @param fillBytes zeros behind the bytes. */
  add(bytes: Buffer, fillBytes: number): void {
    for (let at = 0; at < bytes.length; ) {
      const count = Math.min(bytes.length - at, pieceBytes - this.#length);
      bytes.copy(this.#open, this.#length, at, at + count);
      at += count;
      this.#advance(count);
    }
    // Pieces are whole pages, so what fills a page stays within a piece.
    this.#open.fill(0, this.#length, this.#length + fillBytes);
    if (fillBytes > 0) this.#advance(fillBytes);
  }

  /** The oldest whole one, or what is left. */
  take(): Uint8Array | undefined {
    const whole = this.#whole.shift();
    if (whole !== undefined || this.#length === 0) return whole;
    const rest = this.#open.subarray(0, this.#length);
    this.#open = Buffer.allocUnsafeSlow(pieceBytes);
    this.#length = 0;
    return rest;
  }

  #advance(count: number): void {
    this.#length += count;
    if (this.#length < pieceBytes) return;
    this.#whole.push(this.#open);
    this.#open = Buffer.allocUnsafeSlow(pieceBytes);
    this.#length = 0;
  }
}
