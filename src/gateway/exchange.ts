// A request and its answer as the gateway sees them, whatever HTTP they came over.
import type { CallMetadata } from "../grpc/call.ts";

export interface HttpRequest {
  readonly method: string;
  /** Without the query, as it was sent. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** By its lower-case name; repeated ones joined by a comma. */
  header(name: string): string | undefined;
  /** Over a connection whose peer cannot be another site's page. */
  readonly isSecure: boolean;
}

export type Fields = readonly (readonly [name: string, value: string])[];

export interface HttpReply {
  /** The client is gone, or the answer is complete. */
  readonly isOver: boolean;
  /** The whole answer. Does nothing once over. */
  whole(status: number, fields: Fields, body: string): void;
  /** Begins an answer of parts. */
  begin(status: number, fields: Fields): void;
  /** @returns false when more than the backlog's limit waits: stop until `onDrain`. */
  write(part: string): boolean;
  readonly backlogBytes: number;
  end(): void;
  /** Breaks off: the client sees that the answer is not complete. */
  abort(): void;
  /** For an answer of parts. `onClose`: the client went away before the end. */
  listen(events: { readonly onDrain: () => void; readonly onClose: () => void }): void;
}

export interface GatewayLimits {
  /** From the first byte of a connection, or of a request, to the end of its headers. */
  readonly headersMsMax: number;
  /** From the first byte of a request to its last. */
  readonly requestMsMax: number;
  /** Between two requests of a connection. */
  readonly idleMsMax: number;
  /** How often these three are looked at. */
  readonly checkEveryMs: number;
  readonly headerBytesMax: number;
  /** Longest body of one request. */
  readonly bodyBytesMax: number;
  /** Bodies that have begun, of all requests together. */
  readonly heldBytesMax: number;
  /** Longest request message once it is protobuf, as over gRPC. */
  readonly messageBytesMax: number;
  /** Longest answer message, in protobuf. */
  readonly answerBytesMax: number;
  /** Without the client taking anything of an answer in parts. */
  readonly answerStallMsMax: number;
  /** Parts of one answer that wait for the client, at which `write` answers false. */
  readonly streamBacklogBytesMax: number;
  /** The same, at which a client that takes nothing is given up. */
  readonly streamBacklogBytesEnd: number;
  readonly connectionsMax: number;
}

const kib = 1024;
const mib = 1024 * kib;

export const defaultGatewayLimits: GatewayLimits = {
  headersMsMax: 10_000,
  requestMsMax: 60_000,
  idleMsMax: 120_000,
  checkEveryMs: 1_000,
  headerBytesMax: 64 * kib,
  bodyBytesMax: 4 * mib,
  heldBytesMax: 512 * mib,
  messageBytesMax: 2 * mib,
  answerBytesMax: 256 * mib,
  answerStallMsMax: 60_000,
  streamBacklogBytesMax: mib,
  streamBacklogBytesEnd: 64 * mib,
  connectionsMax: 10_000,
};

export const jsonType = ["Content-Type", "application/json"] as const;
export const plainType: Fields = [
  ["Content-Type", "text/plain; charset=utf-8"],
  ["X-Content-Type-Options", "nosniff"],
];
/** What grpc-gateway lets through of its inner call. */
export const answerFields: Fields = [jsonType, ["Grpc-Metadata-Content-Type", "application/grpc"]];

/** Headers as gRPC metadata: `authorization` itself, others behind `grpc-metadata-`. */
export class GatewayMetadata implements CallMetadata {
  readonly #request: HttpRequest;

  constructor(request: HttpRequest) {
    this.#request = request;
  }

  metadata(name: string): string | undefined {
    const own = name === "authorization" ? this.#request.header(name) : undefined;
    return own ?? this.#request.header(`grpc-metadata-${name}`);
  }
}
