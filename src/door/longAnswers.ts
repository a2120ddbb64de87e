// Long answers of one client that are sent in parts, one after the other in turn.

interface LongAnswer {
  readonly parts: readonly Uint8Array[];
  /** Of the next part. */
  readonly at: number;
}

export interface AnswerPart {
  readonly id: number;
  readonly bytes: Uint8Array;
  readonly isLast: boolean;
}

export class LongAnswers {
  /** By call, the next in turn first. */
  readonly #waiting = new Map<number, LongAnswer>();
  #bytes = 0;

  /** That were not taken yet. */
  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  has(id: number): boolean {
    return this.#waiting.has(id);
  }

  add(id: number, parts: readonly Uint8Array[]): void {
    for (const { length } of parts) this.#bytes += length;
    this.#waiting.set(id, { parts, at: 0 });
  }

  /** Nobody wants the rest. */
  drop(id: number): void {
    const { parts = [], at = 0 } = this.#waiting.get(id) ?? {};
    this.#waiting.delete(id);
    for (const { length } of parts.slice(at)) this.#bytes -= length;
  }

  next(): AnswerPart | undefined {
    const [first] = this.#waiting;
    if (first === undefined) return undefined;
    const [id, { parts, at }] = first;
    const bytes = parts[at] ?? new Uint8Array(0);
    const isLast = at + 1 >= parts.length;
    this.#bytes -= bytes.length;
    // To the end of the line.
    this.#waiting.delete(id);
    if (!isLast) this.#waiting.set(id, { parts, at: at + 1 });
    return { id, bytes, isLast };
  }
}
