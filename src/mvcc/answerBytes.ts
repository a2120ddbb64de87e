// How long an answer becomes while its rows are read, so that one that nobody can take is not read whole.
import { errAnswerTooLarge } from "../base/errors.ts";

export class AnswerBytes {
  readonly #max: number;
  #read: number;

  /** @param max bytes of all rows of the answer, however many ranges it tells of. */
  constructor(max: number, read = 0) {
    this.#max = max;
    this.#read = read;
  }

  /** A row was one too much. */
  get isOver(): boolean {
    return this.#read > this.#max;
  }

  /** @throws {EtcdError} the answer would be too large with this row of it. */
  add(row: Uint8Array): void {
    this.#read += row.length;
    if (this.#read > this.#max) throw errAnswerTooLarge(this.#read, this.#max);
  }

  /** For rows that are looked at before they are read into the answer. */
  fork(): AnswerBytes {
    return new AnswerBytes(this.#max, this.#read);
  }
}
