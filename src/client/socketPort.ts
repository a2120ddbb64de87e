// A WebSocket as the way to a member. It may be used at once: what is posted before it is open waits.
import { beatMs } from "../transport/callBatch.ts";
import type { LanePort } from "./lanePort.ts";
import { quietTimer } from "./platform.ts";

/** A connection that says nothing for so many beats of its member is dead. */
const silentBeatsMax = 3;

/** What a WebSocket of Node or of a browser can do; it calls the events of its port. */
export interface RawSocket {
  send(batch: Uint8Array): void;
  close(): void;
  /** Keeps the program alive, or does not. */
  hold(isHeld: boolean): void;
}

export interface SocketEvents {
  onOpen(): void;
  /** Undefined: something else than bytes. */
  onBytes(bytes: Uint8Array | undefined): void;
  /** Called once or more; `why` where that is known. */
  onClose(why: string): void;
}

/** Begins to connect. @throws nothing: a failure is `onClose`, and not within the call. */
export type DialSocket = (url: string, events: SocketEvents) => RawSocket;

export class SocketPort implements LanePort {
  onBatch: (batch: Uint8Array | undefined) => void = () => {};
  onClose: () => void = () => {};
  readonly #socket: RawSocket;
  /** Posted before it was open. */
  #waiting: Uint8Array[] | undefined = [];
  #heardMs = performance.now();
  #timer: { stop(): void };
  #closed = false;
  #why = "";

  constructor(url: string, dial: DialSocket) {
    this.#timer = quietTimer(() => this.#onBeat(), beatMs);
    this.#socket = dial(url, {
      onOpen: () => this.#onOpen(),
      onBytes: (bytes) => {
        this.#heardMs = performance.now();
        if (!this.#closed) this.onBatch(bytes);
      },
      onClose: (why) => {
        this.#why = why;
        this.#onClose();
      },
    });
  }

  get wasOpen(): boolean {
    return this.#waiting === undefined;
  }

  /** Why it is closed. */
  get why(): string {
    return this.#why;
  }

  post(batch: Uint8Array): void {
    if (this.#waiting !== undefined) this.#waiting.push(batch);
    else if (!this.#closed) this.#socket.send(batch);
  }

  close(): void {
    this.#socket.close();
    this.#onClose();
  }

  hold(): void {
    this.#socket.hold(true);
  }

  release(): void {
    this.#socket.hold(false);
  }

  #onOpen(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    this.#heardMs = performance.now();
    for (const batch of waiting) this.post(batch);
  }

  #onBeat(): void {
    if (performance.now() - this.#heardMs > silentBeatsMax * beatMs) {
      this.#why = "nothing was heard of it";
      this.close();
    } else this.#timer = quietTimer(() => this.#onBeat(), beatMs);
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer.stop();
    this.onClose();
  }
}
