// All connections of the quick way: what they share, their deadlines, their end.
import type { Socket } from "node:net";
import type { ByteBudget } from "../http2/limits.ts";
import { AnswerHeads } from "./answerHead.ts";
import { QuickConnection, type QuickHost, type QuickWait } from "./quickConnection.ts";
import { badRequest } from "./refusals.ts";
import type { Gateway } from "./server.ts";

export interface QuickOptions {
  readonly gateway: Gateway;
  readonly held: ByteBudget;
  /** `flush` is to be called once, at the end of the turn. */
  readonly requestFlush: () => void;
  /** Takes over a paused socket, of which `rest` was read and not answered. */
  readonly onLeave: (socket: Socket, rest: Buffer) => void;
}

export class QuickConnections implements QuickHost {
  readonly gateway: Gateway;
  readonly held: ByteBudget;
  readonly heads: AnswerHeads;
  beat = 0;
  isClosing = false;
  readonly #options: QuickOptions;
  readonly #all = new Set<QuickConnection>();
  readonly #waitMsMax: Readonly<Record<QuickWait, number>>;
  readonly #checkEveryMs: number;
  #dirty: QuickConnection[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(options: QuickOptions) {
    const { limits } = options.gateway;
    this.#options = options;
    this.gateway = options.gateway;
    this.held = options.held;
    this.heads = new AnswerHeads(limits.idleMsMax);
    this.#checkEveryMs = limits.checkEveryMs;
    this.#waitMsMax = {
      request: limits.idleMsMax,
      head: limits.headersMsMax,
      body: limits.requestMsMax,
      client: limits.requestMsMax,
      // Calls have deadlines of their own.
      answer: Number.POSITIVE_INFINITY,
    };
  }

  accept(socket: Socket, first: Buffer): void {
    this.#timer ??= setInterval(() => this.#check(), this.#checkEveryMs).unref();
    const connection = new QuickConnection(socket, this);
    this.#all.add(connection);
    socket.once("close", () => this.#all.delete(connection));
    connection.start(first);
  }

  /** Writes the answers of the turn. */
  flush(): void {
    const dirty = this.#dirty;
    if (dirty.length === 0) return;
    this.#dirty = [];
    for (const connection of dirty) connection.flush();
  }

  /** Ends what waits for no answer; the others end behind theirs. */
  close(): void {
    this.isClosing = true;
    clearInterval(this.#timer);
    this.flush();
    for (const connection of [...this.#all]) {
      if (connection.wait !== "answer" && !connection.socket.writableEnded) {
        connection.socket.destroy();
      }
    }
  }

  onOutput(connection: QuickConnection): void {
    if (this.#dirty.length === 0) this.#options.requestFlush();
    this.#dirty.push(connection);
  }

  onLeave(connection: QuickConnection, rest: Buffer): void {
    this.#all.delete(connection);
    this.#options.onLeave(connection.socket, rest);
  }

  #check(): void {
    this.beat++;
    for (const connection of [...this.#all]) {
      // The beat at which it began was under way already.
      const waitedMs = (this.beat - connection.sinceBeat - 1) * this.#checkEveryMs;
      const { wait, socket } = connection;
      if (waitedMs < this.#waitMsMax[wait]) continue;
      if ((wait === "head" || wait === "body") && socket.writable) {
        socket.end(badRequest, () => socket.destroy());
      } else socket.destroy();
    }
  }
}
