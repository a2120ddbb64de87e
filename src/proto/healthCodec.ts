// grpc.health.v1 on the wire; by hand for the reason given in clusterCodec.ts.
import { type Malformed, Reader } from "./reader.ts";
import type { Writer } from "./writer.ts";

export const ServingStatus = { unknown: 0, serving: 1, notServing: 2, serviceUnknown: 3 } as const;
export type ServingStatus = (typeof ServingStatus)[keyof typeof ServingStatus];

export interface HealthCheckRequest {
  /** Empty: the whole server. */
  readonly service: string;
}

export function decodeHealthCheckRequest(bytes: Uint8Array): HealthCheckRequest | Malformed {
  const reader = new Reader(bytes);
  let service = "";
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 0x0a) service = reader.string();
    else reader.skip(tag, 1);
  }
  return reader.fault ?? { service };
}

/** @returns a view into the writer. */
export function encodeHealthCheckResponse(writer: Writer, status: ServingStatus): Uint8Array {
  writer.integer(0x08, status);
  return writer.finish();
}

/** @returns a view into the writer: one entry of a map<string, HealthCheckResponse>. */
export function encodeHealthListResponse(
  writer: Writer,
  service: string,
  status: ServingStatus,
): Uint8Array {
  const entry = writer.mark();
  const value = writer.mark();
  writer.integer(0x08, status);
  writer.message(0x12, value);
  writer.stringPresent(0x0a, service);
  writer.message(0x0a, entry);
  return writer.finish();
}
