// Commands that took long to apply, as whoever keeps the log wants to know them.
import type { Clock } from "../base/ports.ts";
import {
  decodeCompactionRequest,
  decodeDeleteRangeRequest,
  decodePutRequest,
  decodeTxnRequest,
} from "../proto/decodeRequests.ts";
import {
  encodeCompactionResponse,
  encodeDeleteRangeResponse,
  encodePutResponse,
  encodeTxnResponse,
} from "../proto/encodeResponses.ts";
import { decodeLeaseGrantRequest, decodeLeaseIdRequest } from "../proto/leaseCodec.ts";
import { Malformed } from "../proto/reader.ts";
import {
  changingTxnText,
  compactionText,
  deleteRangeText,
  leaseGrantText,
  leaseRevokeText,
  putText,
} from "../proto/requestText.ts";
import { Writer } from "../proto/writer.ts";
import { CommandKind } from "./command.ts";
import { type Outcome, rowBytesOf } from "./outcome.ts";

export interface ApplyTimes {
  readonly clock: Clock;
  /** Who takes longer is told of. */
  readonly slowMsMin: number;
  onSlow(command: SlowCommand): void;
}

/** Valid within the call that tells of it. */
export interface SlowCommand {
  readonly kind: CommandKind;
  readonly body: Uint8Array;
  /** Undefined where nobody waits for it. */
  readonly outcome: Outcome | undefined;
  readonly tookMs: number;
}

/** What was asked for, without values. */
export function requestTextOf({ kind, body }: SlowCommand): string {
  switch (kind) {
    case CommandKind.put:
      return textOf(decodePutRequest(body), putText);
    case CommandKind.deleteRange:
      return textOf(decodeDeleteRangeRequest(body), deleteRangeText);
    case CommandKind.txn:
      return textOf(decodeTxnRequest(body), changingTxnText);
    case CommandKind.compact:
      return textOf(decodeCompactionRequest(body), compactionText);
    case CommandKind.leaseGrant:
      return textOf(decodeLeaseGrantRequest(body), leaseGrantText);
    case CommandKind.leaseRevoke:
      return textOf(decodeLeaseIdRequest(body), leaseRevokeText);
    default:
      return nameOf(kind);
  }
}

/** Of longer answers the rows alone are told: nothing is encoded only to be measured. */
const encodedBytesMax = 1_048_576;

/** Bytes of the answer as the state machine gives it; the ids of the header come later. */
export function responseTextOf({ outcome }: SlowCommand): string {
  if (outcome === undefined || outcome.kind === "refused") return "";
  const header = { ids: new Uint8Array(0), revision: outcome.revision, raftTerm: 0 };
  const writer = new Writer(Number.MAX_SAFE_INTEGER);
  switch (outcome.kind) {
    case "put":
      return `size:${encodePutResponse(writer, header, outcome).length}`;
    case "deleteRange":
      return `size:${encodeDeleteRangeResponse(writer, header, outcome).length}`;
    case "txn": {
      const rowBytes = rowBytesOf(outcome);
      if (rowBytes > encodedBytesMax) return `size:${rowBytes}`;
      return `size:${encodeTxnResponse(writer, header, outcome).length}`;
    }
    default:
      return `size:${encodeCompactionResponse(writer, header).length}`;
  }
}

function textOf<T extends object>(request: T | Malformed, toText: (request: T) => string): string {
  return request instanceof Malformed ? "malformed" : toText(request);
}

function nameOf(kind: CommandKind): string {
  return Object.entries(CommandKind).find(([, value]) => value === kind)?.[0] ?? `command ${kind}`;
}
