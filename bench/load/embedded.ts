// Calls from within the process: message ports to the members instead of sockets.
import type { Channel } from "../../src/client/channel.ts";
import type { Caller, MessageStream, OnReply } from "./caller.ts";

export class EmbeddedCaller implements Caller {
  readonly isGone = false;
  readonly #channel: Channel;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  call(path: string, message: Uint8Array, onReply: OnReply): void {
    this.#channel.unary(path, message).then(
      (reply) => onReply(reply, ""),
      (error: unknown) => onReply(undefined, error instanceof Error ? error.message : `${error}`),
    );
  }

  stream(path: string): MessageStream {
    throw new Error(`--embedded carries no streams yet: ${path} needs a connection`);
  }

  /** The channel gathers the calls of a turn by itself. */
  flush(): void {}

  close(): void {
    this.#channel.close();
  }
}
