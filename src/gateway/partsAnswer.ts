// A long answer as JSON: a part in each turn, as fast as the client takes them. Its text is never there as a
// whole, and neither are the parts that were sent.
import type { Deadline, DeadlineWheel, Expiring } from "../grpc/deadlines.ts";
import { answerFields, type HttpReply } from "./exchange.ts";
import type { JsonParts } from "./jsonWriter.ts";

export interface PartsAnswerParts {
  readonly reply: HttpReply;
  readonly json: JsonParts;
  readonly message: readonly Uint8Array[];
  readonly deadlines: DeadlineWheel;
  /** A client that takes nothing for so long gets no more. */
  readonly stallMsMax: number;
}

export class PartsAnswer implements Expiring {
  readonly #parts: PartsAnswerParts;
  /** In turn, the last first. */
  readonly #left: Uint8Array[];
  /** Set while the client has to take something before it gets more. */
  #deadline: Deadline | undefined;

  constructor(parts: PartsAnswerParts) {
    this.#parts = parts;
    this.#left = parts.message.toReversed();
  }

  start(): void {
    const { reply } = this.#parts;
    reply.listen({ onDrain: () => this.#onDrain(), onClose: () => this.#disarm() });
    reply.begin(200, answerFields);
    this.#step();
  }

  onDeadline(): void {
    this.#deadline = undefined;
    this.#parts.reply.abort();
  }

  #step(): void {
    const { reply, json, deadlines, stallMsMax } = this.#parts;
    if (reply.isOver) return;
    const part = this.#left.pop();
    if (part === undefined) {
      reply.write(json.end());
      reply.end();
    } else if (reply.write(json.next(part))) this.#stepLater();
    else if (!reply.isOver) this.#deadline = deadlines.add(stallMsMax, this);
  }

  #stepLater(): void {
    setImmediate(() => this.#step());
  }

  #onDrain(): void {
    if (this.#deadline === undefined) return;
    this.#disarm();
    this.#stepLater();
  }

  #disarm(): void {
    if (this.#deadline !== undefined) this.#parts.deadlines.remove(this.#deadline);
    this.#deadline = undefined;
  }
}
