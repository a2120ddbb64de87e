// A LeaseKeepAlive stream through the reference Node client.
import { Client, type ClientDuplexStream, credentials, Metadata } from "@grpc/grpc-js";
import { decodeMessage, encodeMessage } from "./messages.ts";

const waitMsMax = 30_000;

export class KeepAliveClient {
  /** "id for TTL", in order; last the code and text of the end. */
  readonly answers: string[] = [];
  readonly #client: Client;
  readonly #stream: ClientDuplexStream<Uint8Array, Buffer>;
  #waiting: (() => void)[] = [];

  constructor(endpoint: string, headers: Readonly<Record<string, string>> = {}) {
    this.#client = new Client(endpoint, credentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_retries": 0,
    });
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    this.#stream = this.#client.makeBidiStreamRequest(
      "/etcdserverpb.Lease/LeaseKeepAlive",
      (bytes: Uint8Array) => Buffer.from(bytes),
      (bytes: Buffer) => bytes,
      metadata,
    );
    this.#stream.on("data", (bytes: Buffer) => {
      const { ID = "0", TTL = "0" } = decodeMessage("LeaseKeepAliveResponse", bytes);
      this.#hear(`${ID} for ${TTL}`);
    });
    // The status tells it all.
    this.#stream.on("error", () => {});
    this.#stream.on("status", (status: { code: number; details: string }) =>
      this.#hear(`end ${status.code} ${status.details}`),
    );
  }

  send(id: string): void {
    this.sendBytes(encodeMessage("LeaseKeepAliveRequest", { ID: id }));
  }

  sendBytes(bytes: Uint8Array): void {
    this.#stream.write(bytes);
  }

  halfClose(): void {
    this.#stream.end();
  }

  /** So many answers, the end being one. @throws after 30 s. */
  async heard(count: number): Promise<readonly string[]> {
    const late = AbortSignal.timeout(waitMsMax);
    late.addEventListener("abort", () => this.#wake());
    while (this.answers.length < count) {
      if (late.aborted) throw new Error(`${this.answers.length} of ${count} answers came`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    return this.answers;
  }

  close(): void {
    this.#stream.cancel();
    this.#client.close();
  }

  #hear(answer: string): void {
    this.answers.push(answer);
    this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
