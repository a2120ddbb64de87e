// A connection that sends what it is told, sound or not.
import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";

/** A socket that keeps what it got. */
export class Raw {
  readonly socket: Socket;
  text = "";
  /** The other side closed while we were sending: what it had said before may be lost. */
  wasReset = false;
  #onChange = (): void => {};

  constructor(port: number) {
    this.socket = connect(port, "127.0.0.1");
    this.socket.on("data", (chunk: Buffer) => {
      this.text += chunk.toString("latin1");
      this.#onChange();
    });
    this.socket.on("close", () => this.#onChange());
    this.socket.on("error", (error: NodeJS.ErrnoException) => {
      this.wasReset ||= error.code === "ECONNRESET" || error.code === "EPIPE";
    });
  }

  send(text: string): void {
    this.socket.write(Buffer.from(text, "latin1"));
  }

  async until(pattern: RegExp): Promise<void> {
    await this.#when(() => pattern.test(this.text));
    assert.match(this.text, pattern);
  }

  async closed(): Promise<void> {
    await this.#when(() => false);
  }

  #when(done: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#onChange = () => {
        if (done() || this.socket.closed) resolve();
      };
      this.#onChange();
    });
  }
}
