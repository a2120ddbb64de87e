// One line per event. Off, it costs a look at a flag: nobody may build a line without asking `on`.
import type { EventQueue } from "./eventQueue.ts";

export type TraceSink = (line: string) => void;

export class Trace {
  readonly #queue: EventQueue;
  readonly #sink: TraceSink | undefined;

  constructor(queue: EventQueue, sink: TraceSink | undefined) {
    this.#queue = queue;
    this.#sink = sink;
  }

  get on(): boolean {
    return this.#sink !== undefined;
  }

  line(text: string): void {
    const { nowUs } = this.#queue;
    const seconds = Math.floor(nowUs / 1e6);
    const rest = String(nowUs % 1e6).padStart(6, "0");
    this.#sink?.(`${String(seconds).padStart(3)}.${rest} ${text}`);
  }
}
