// Raw bytes to a gRPC server and back, through the reference Node client: an independent judge of the wire.
import { Client, credentials, type ServiceError } from "@grpc/grpc-js";

const callTimeoutMs = 30_000;

/** What became of one call: the message as it came, or the status. */
export type WireAnswer =
  | { readonly kind: "ok"; readonly message: Buffer }
  | { readonly kind: "error"; readonly code: number; readonly text: string };

export class WireClient {
  readonly endpoint: string;
  readonly #client: Client;

  /** @param endpoint host:port; one connection of its own, made at the first call. */
  constructor(endpoint: string) {
    this.endpoint = endpoint;
    this.#client = new Client(endpoint, credentials.createInsecure(), {
      "grpc.max_receive_message_length": -1,
      "grpc.max_send_message_length": -1,
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_retries": 0,
    });
  }

  /** Never rejects: a failed call is an answer. */
  call(path: string, request: Uint8Array): Promise<WireAnswer> {
    return new Promise((resolve) => {
      const onAnswer = (error: ServiceError | null, message?: Buffer) => {
        if (error) resolve({ kind: "error", code: error.code, text: error.details });
        else resolve({ kind: "ok", message: message ?? Buffer.alloc(0) });
      };
      const deadline = Date.now() + callTimeoutMs;
      this.#client.makeUnaryRequest(path, asBuffer, asIs, request, { deadline }, onAnswer);
    });
  }

  close(): void {
    this.#client.close();
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}
