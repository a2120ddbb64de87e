// Rows in byte order, in chunks: an insert moves one chunk, not the table.
import { compareBytes } from "../base/bytes.ts";
import type { EngineRow } from "./engine.ts";

/** A chunk of more rows is split in two. */
const chunkRowsMax = 256;

export class SortedRows {
  /** None is empty; the rows of one are below those of the next. */
  readonly #chunks: EngineRow[][] = [];
  /** Chunks that a frozen view may see as well: copied before they change. */
  #shared = new Set<EngineRow[]>();

  /** Rows. */
  get size(): number {
    return this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const chunk = this.#chunks[this.#chunkFor(key)];
    const row = chunk?.[lowerBound(chunk, key)];
    return row && compareBytes(row.key, key) === 0 ? row.value : undefined;
  }

  /** @returns the row that was replaced. */
  put(row: EngineRow): EngineRow | undefined {
    if (this.#append(row)) return undefined;
    const position = Math.min(this.#chunkFor(row.key), this.#chunks.length - 1);
    const chunk = this.#ownChunk(position);
    if (chunk === undefined) {
      this.#chunks.push([row]);
      return undefined;
    }
    const at = lowerBound(chunk, row.key);
    const present = chunk[at];
    if (present && compareBytes(present.key, row.key) === 0) {
      chunk[at] = row;
      return present;
    }
    chunk.splice(at, 0, row);
    if (chunk.length > chunkRowsMax) this.#split(position, chunk, at);
    return undefined;
  }

  /** @returns the row that was removed. */
  delete(key: Uint8Array): EngineRow | undefined {
    const position = this.#chunkFor(key);
    const chunk = this.#ownChunk(position);
    if (chunk === undefined) return undefined;
    const at = lowerBound(chunk, key);
    const present = chunk[at];
    if (present === undefined || compareBytes(present.key, key) !== 0) return undefined;
    chunk.splice(at, 1);
    if (chunk.length === 0) this.#chunks.splice(position, 1);
    return present;
  }

  /** Rows from `from` on, in order, until `visit` returns false. */
  visitFrom(from: Uint8Array, visit: (row: EngineRow) => boolean): void {
    for (let position = this.#chunkFor(from); position < this.#chunks.length; position++) {
      const chunk = this.#chunks[position] ?? [];
      for (let at = lowerBound(chunk, from); at < chunk.length; at++) {
        const row = chunk[at];
        if (row && !visit(row)) return;
      }
    }
  }

  /** The rows as they are now, in chunks; later changes do not show in them. */
  frozen(): readonly (readonly EngineRow[])[] {
    this.#shared = new Set(this.#chunks);
    return [...this.#chunks];
  }

  /** Keys mostly come in ascending order: then one comparison finds their place. */
  #append(row: EngineRow): boolean {
    const position = this.#chunks.length - 1;
    const last = this.#chunks[position]?.at(-1);
    if (last === undefined || compareBytes(last.key, row.key) >= 0) return false;
    const chunk = this.#ownChunk(position);
    if (chunk === undefined || chunk.length >= chunkRowsMax) this.#chunks.push([row]);
    else chunk.push(row);
    return true;
  }

  #ownChunk(position: number): EngineRow[] | undefined {
    const chunk = this.#chunks[position];
    if (chunk === undefined || !this.#shared.delete(chunk)) return chunk;
    const copy = [...chunk];
    this.#chunks[position] = copy;
    return copy;
  }

  // Keys mostly come in ascending order: a full chunk that was appended to stays full.
  #split(position: number, chunk: EngineRow[], inserted: number): void {
    const keep = inserted === chunk.length - 1 ? inserted : chunk.length >>> 1;
    this.#chunks.splice(position + 1, 0, chunk.splice(keep));
  }

  /** The first chunk whose last key is at or above `key`; the count of chunks if there is none. */
  #chunkFor(key: Uint8Array): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const last = this.#chunks[middle]?.at(-1);
      if (last && compareBytes(last.key, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Position of the first row at or above `key`. */
function lowerBound(rows: readonly EngineRow[], key: Uint8Array): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const row = rows[middle];
    if (row && compareBytes(row.key, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
