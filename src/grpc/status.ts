// How a call's end looks on the wire: grpc-status and grpc-message, encoded once per refusal.
import type { EtcdError } from "../base/errors.ts";
import { literalFields, UsualFields } from "../http2/responseBlocks.ts";

/** What every good answer repeats. */
export const usualFields: UsualFields = new UsualFields({
  header: ["content-type", "application/grpc"],
  trailer: ["grpc-status", "0"],
});

/** Longest grpc-message, encoded; the rest is cut. */
export const grpcMessageBytesMax = 4096;

export class StatusFields {
  // Most refusals are constants: their trailers are encoded once.
  readonly #encoded = new WeakMap<EtcdError, Buffer>();

  of(error: EtcdError): Buffer {
    const known = this.#encoded.get(error);
    if (known !== undefined) return known;
    const fields = literalFields([
      ["grpc-status", `${error.code}`],
      ["grpc-message", percentEncode(error.message).slice(0, grpcMessageBytesMax)],
    ]);
    this.#encoded.set(error, fields);
    return fields;
  }
}

/** UTF-8 with everything but printable ASCII, and `%` itself, as `%XX` (gRPC over HTTP/2). */
export function percentEncode(text: string): string {
  if (/^[ -$&-~]*$/.test(text)) return text;
  let encoded = "";
  for (const byte of Buffer.from(text)) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += plain
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}
