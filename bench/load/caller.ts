// Something that carries calls: a connection, or ports to the members.

/** `reply` is valid only within the call; undefined: refused, reset or cut off, as `why` says. */
export type OnReply = (reply: Uint8Array | undefined, why: string) => void;

export interface StreamEvents {
  /** `message` is valid only within the call. */
  onMessage(message: Uint8Array): void;
  /** Nothing follows. */
  onEnd(why: string): void;
}

/** A call with many messages both ways. */
export interface MessageStream {
  /** Queues a message; it leaves at the next flush of the caller, or within a callback. */
  send(message: Uint8Array): void;
}

export interface Caller {
  /** True once nothing can be called any more. */
  readonly isGone: boolean;
  /** Queues a call; it leaves at the next flush, or by itself within a reply's callback. */
  call(path: string, message: Uint8Array, onReply: OnReply): void;
  /** @throws where only unary calls are carried. */
  stream(path: string, events: StreamEvents): MessageStream;
  flush(): void;
  close(): void;
}
