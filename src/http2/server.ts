// All HTTP/2 connections of one door: who has output this turn, deadlines, shutdown.
import type { Duplex } from "node:stream";
import { Connection, type ConnectionHost } from "./connection.ts";
import { HeldPings } from "./heldPings.ts";
import { ByteBudget, type Http2Limits } from "./limits.ts";
import { ChunkPool } from "./output.ts";
import type { UsualFields } from "./responseBlocks.ts";
import type { RequestHandler } from "./stream.ts";
import type { Timers } from "./timers.ts";

export interface Http2ServerOptions {
  readonly handler: RequestHandler;
  readonly usual: UsualFields;
  readonly limits: Http2Limits;
  readonly timers: Timers;
  /** Asks the owner to call `flush` once, at the end of the turn. */
  readonly requestFlush: () => void;
}

const sweepEveryMs = 1000;

export class Http2Server {
  readonly #options: Http2ServerOptions;
  readonly #host: ConnectionHost;
  readonly #connections = new Set<Connection>();
  #dirty: Connection[] = [];
  #cancelSweep: (() => void) | undefined;
  #sweptMs = 0;
  #onEmpty: (() => void) | undefined;

  constructor(options: Http2ServerOptions) {
    const { limits } = options;
    this.#options = options;
    this.#host = {
      limits,
      handler: options.handler,
      usual: options.usual,
      pool: new ChunkPool(),
      timers: options.timers,
      queued: new ByteBudget(limits.queuedBytesServerMax),
      held: new ByteBudget(limits.heldBytesServerMax),
      heldPings: new HeldPings(options.timers, limits.pingHoldMs),
      onDirty: (connection) => this.#onDirty(connection),
      onClosed: (connection) => this.#onClosed(connection),
    };
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Serves HTTP/2 on the socket, whose bytes so far are `first`; closes one too many. */
  accept(socket: Duplex, first: Buffer): void {
    if (this.#onEmpty !== undefined || this.#connections.size >= this.#host.limits.connectionsMax) {
      socket.destroy();
      return;
    }
    const connection = new Connection(socket, this.#host);
    this.#connections.add(connection);
    this.#planSweep();
    connection.start(first);
  }

  /** Writes the output of the turn, once per connection. */
  flush(): void {
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const connection of dirty) connection.flush();
  }

  /**
   * Lets open requests finish, for `graceMs` at most, then closes all; `done` is called once.
   * New connections are closed at once.
   */
  shutdown(graceMs: number, done: () => void): void {
    let cancel = (): void => {};
    this.#onEmpty = () => {
      cancel();
      this.#cancelSweep?.();
      this.#cancelSweep = undefined;
      done();
    };
    for (const connection of [...this.#connections]) connection.drain();
    if (this.#connections.size === 0) {
      this.#onEmpty();
      return;
    }
    if (graceMs > 0) cancel = this.#options.timers.after(graceMs, () => this.#destroyAll());
    else this.#destroyAll();
  }

  #destroyAll(): void {
    for (const connection of [...this.#connections]) connection.destroy();
  }

  #onDirty(connection: Connection): void {
    this.#dirty.push(connection);
    if (this.#dirty.length === 1) this.#options.requestFlush();
  }

  #onClosed(connection: Connection): void {
    this.#connections.delete(connection);
    if (this.#connections.size > 0) return;
    this.#host.heldPings.close();
    this.#onEmpty?.();
  }

  #planSweep(): void {
    if (this.#cancelSweep !== undefined) return;
    this.#sweptMs = this.#options.timers.nowMs();
    this.#cancelSweep = this.#options.timers.after(sweepEveryMs, () => this.#sweep());
  }

  // One timer for all connections; none while there are none.
  #sweep(): void {
    const nowMs = this.#options.timers.nowMs();
    const elapsedMs = nowMs - this.#sweptMs;
    for (const connection of [...this.#connections]) connection.sweep(nowMs, elapsedMs);
    this.#cancelSweep = undefined;
    if (this.#connections.size > 0) this.#planSweep();
  }
}
