// One stream to one member: what was read gives the member credit for more.
import type { EtcdError } from "../base/errors.ts";
import { messageCostBytes, type OpenHead, StreamFlag } from "../transport/callBatch.ts";
import type { ClientStream, StreamReader } from "./channel.ts";

export interface StreamSpec {
  readonly id: number;
  readonly method: number;
  readonly windowBytes: number;
  readonly followsLeader: boolean;
  readonly reader: StreamReader;
}

/** What a stream says to its member. */
export interface StreamOutput {
  message(message: Uint8Array): void;
  halfClose(): void;
  credit(bytes: number): void;
  cancel(): void;
}

export class LaneStream implements ClientStream {
  readonly #spec: StreamSpec;
  readonly #output: StreamOutput;
  /** Read, and not yet told to the member. */
  #readBytes = 0;
  #paused = false;
  #halfClosed = false;
  #over = false;
  /** Called when the stream is over from either side. */
  onOver: (() => void) | undefined;

  constructor(spec: StreamSpec, output: StreamOutput) {
    this.#spec = spec;
    this.#output = output;
  }

  get followsLeader(): boolean {
    return this.#spec.followsLeader;
  }

  get head(): OpenHead {
    const { id, method, windowBytes, followsLeader } = this.#spec;
    const flags = followsLeader ? StreamFlag.requiresLeader : 0;
    return { id, method, creditBytes: windowBytes, flags };
  }

  send(message: Uint8Array): void {
    if (!this.#over && !this.#halfClosed) this.#output.message(message);
  }

  halfClose(): void {
    if (this.#over || this.#halfClosed) return;
    this.#halfClosed = true;
    this.#output.halfClose();
  }

  cancel(): void {
    if (!this.#finish()) return;
    this.#output.cancel();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#giveCredit();
  }

  onMessage(message: Uint8Array): void {
    if (this.#over) return;
    this.#readBytes += messageCostBytes(message);
    this.#spec.reader.onMessage(message);
    this.#giveCredit();
  }

  onEnd(error: EtcdError | undefined): void {
    if (this.#finish()) this.#spec.reader.onEnd(error);
  }

  // Not for each message: half a window at a time keeps the member busy.
  #giveCredit(): void {
    if (this.#paused || this.#over || 2 * this.#readBytes < this.#spec.windowBytes) return;
    this.#output.credit(this.#readBytes);
    this.#readBytes = 0;
  }

  #finish(): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.onOver?.();
    return true;
  }
}
