// A Watch stream through the reference Node client: requests as fields, answers as protobufjs reads them.
import assert from "node:assert/strict";
import { Client, type ClientDuplexStream, credentials, Metadata } from "@grpc/grpc-js";
import { decodeMessage, encodeMessage } from "./messages.ts";

const waitMsMax = 30_000;

export interface WireEvent {
  readonly type?: number;
  readonly kv?: WirePair;
  readonly prev_kv?: WirePair;
}

export interface WirePair {
  readonly key?: Uint8Array;
  readonly value?: Uint8Array;
  readonly mod_revision?: string;
  readonly create_revision?: string;
  readonly version?: string;
}

export interface WireWatchAnswer {
  readonly header?: { readonly revision?: string };
  readonly watch_id?: string;
  readonly created?: boolean;
  readonly canceled?: boolean;
  readonly compact_revision?: string;
  readonly cancel_reason?: string;
  readonly fragment?: boolean;
  readonly events?: readonly WireEvent[];
}

export interface WatchEnd {
  readonly code: number;
  readonly text: string;
}

export class WatchClient {
  readonly answers: WireWatchAnswer[] = [];
  /** Set when the stream is over. */
  end: WatchEnd | undefined;
  readonly #client: Client;
  readonly #stream: ClientDuplexStream<Uint8Array, Buffer>;
  #waiting: (() => void)[] = [];

  /** @param endpoint host:port; the stream has a connection of its own. */
  constructor(endpoint: string, headers: Readonly<Record<string, string>> = {}) {
    this.#client = new Client(endpoint, credentials.createInsecure(), {
      "grpc.max_receive_message_length": -1,
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_retries": 0,
    });
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    this.#stream = this.#client.makeBidiStreamRequest(
      "/etcdserverpb.Watch/Watch",
      (bytes: Uint8Array) => Buffer.from(bytes),
      (bytes: Buffer) => bytes,
      metadata,
    );
    this.#stream.on("data", (bytes: Buffer) => {
      this.answers.push(decodeMessage("WatchResponse", bytes) as WireWatchAnswer);
      this.#wake();
    });
    // The status tells it all.
    this.#stream.on("error", () => {});
    this.#stream.on("status", (status: { code: number; details: string }) => {
      this.end = { code: status.code, text: status.details };
      this.#wake();
    });
  }

  create(fields: object): void {
    this.send({ create_request: fields });
  }

  send(request: object): void {
    this.#stream.write(encodeMessage("WatchRequest", request));
  }

  sendBytes(bytes: Uint8Array): void {
    this.#stream.write(bytes);
  }

  /** No more requests. */
  halfClose(): void {
    this.#stream.end();
  }

  /** Reads nothing until `resume`. */
  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  /** Waits until `done` holds; it is asked after each answer and at the end. @throws after 30 s. */
  async until(what: string, done: () => boolean): Promise<void> {
    await this.#wait(what, () => {
      if (done()) return true;
      if (this.end !== undefined) throw new Error(`${what}: ended with ${this.end.text}`);
      return false;
    });
  }

  /** The stream is over, with this status. @throws after 30 s. */
  async ended(): Promise<WatchEnd> {
    await this.#wait("the end of the stream", () => this.end !== undefined);
    assert.ok(this.end);
    return this.end;
  }

  /** One timer, for the bound alone: what is waited for wakes by itself. */
  async #wait(what: string, done: () => boolean): Promise<void> {
    let isLate = false;
    const late = setTimeout(() => {
      isLate = true;
      this.#wake();
    }, waitMsMax);
    try {
      while (!done()) {
        if (isLate) throw new Error(`waited in vain for ${what}`);
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
    } finally {
      clearTimeout(late);
    }
  }

  close(): void {
    this.#stream.cancel();
    this.#client.close();
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
