// The door for clients that talk in batches: threads of this process, and programs behind a WebSocket.
import type { MemberId, Term } from "../base/brand.ts";
import type { Clock } from "../base/ports.ts";
import type { MethodTable } from "../grpc/call.ts";
import type { LeaderNews } from "../transport/callBatch.ts";
import type { DoorPort } from "./doorPort.ts";
import { defaultSessionLimits, Session, type SessionHost, type SessionLimits } from "./session.ts";

export interface EmbeddedDoorOptions {
  /** Called when there is something to flush, at least once between two flushes. */
  requestFlush(): void;
  /** A method threw: a mistake of ours. */
  onMistake(error: unknown): void;
  readonly clock?: Clock;
  /** The member behind the door, for clients that do not know whom they have dialled. */
  readonly self?: bigint;
  readonly limits?: Partial<SessionLimits>;
}

export class EmbeddedDoor {
  readonly #host: SessionHost;
  readonly #limits: SessionLimits;
  readonly #sessions = new Set<Session>();
  #methods: MethodTable | undefined;
  #news: LeaderNews;

  constructor(options: EmbeddedDoorOptions) {
    this.#limits = { ...defaultSessionLimits, ...options.limits };
    this.#host = {
      requestFlush: () => options.requestFlush(),
      onMistake: (error) => options.onMistake(error),
      onClosed: (session) => void this.#sessions.delete(session),
      clock: options.clock ?? { nowMs: () => performance.now() },
    };
    this.#news = { leader: 0n, term: 0, self: options.self ?? 0n };
  }

  /** Clients that are not gone. */
  get clientCount(): number {
    return this.#sessions.size;
  }

  /**
   * Takes a client. What it asks before `serve` waits in its port.
   * @returns how to let it hear from the member when nothing happens.
   */
  attach(port: DoorPort, limits: SessionLimits = this.#limits): { tellLeader(): void } {
    const session = new Session(port, this.#host, limits);
    this.#sessions.add(session);
    if (this.#methods !== undefined) session.open(this.#methods, this.#news);
    return { tellLeader: () => session.tellLeader(this.#news) };
  }

  /** Answers from now on. */
  serve(methods: MethodTable): void {
    this.#methods = methods;
    for (const session of this.#sessions) session.open(methods, this.#news);
  }

  /** Tells all clients whom to ask; 0: nobody knows. */
  tellLeader(leader: MemberId, term: Term): void {
    this.#news = { ...this.#news, leader, term };
    if (this.#methods === undefined) return;
    for (const session of this.#sessions) session.tellLeader(this.#news);
  }

  /** Sends the answers of this turn: one batch for each client that has some. */
  flush(): void {
    for (const session of this.#sessions) session.flush();
  }

  close(): void {
    for (const session of [...this.#sessions]) session.close();
  }
}
