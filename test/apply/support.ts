// An applier over a memory engine, fed with commands as they stand in the log.
import { Applier, type ApplierOptions } from "../../src/apply/applier.ts";
import { BatchBuilder, type BatchOrigin, CommandKind } from "../../src/apply/command.ts";
import {
  type Checkpoints,
  type Expiry,
  encodeCheckpoints,
  encodeExpiry,
} from "../../src/apply/leaseDuties.ts";
import type { OpResult, Outcome } from "../../src/apply/outcome.ts";
import { LeaseId, LogIndex, MemberId, noLease, Term } from "../../src/base/brand.ts";
import { emptyBytes, toLatin1 } from "../../src/base/bytes.ts";
import type { LeaseIndex } from "../../src/mvcc/leases.ts";
import {
  encodeCompactionRequest,
  encodeDeleteRangeRequest,
  encodePutRequest,
  encodeTxnRequest,
} from "../../src/proto/encodeRequests.ts";
import { decodeKeyValue } from "../../src/proto/keyValue.ts";
import type {
  Compare,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from "../../src/proto/kv.ts";
import { encodeLeaseGrantRequest, encodeLeaseIdRequest } from "../../src/proto/leaseCodec.ts";
import { Malformed } from "../../src/proto/reader.ts";
import { Writer } from "../../src/proto/writer.ts";
import { type Entry, EntryKind } from "../../src/raft/types.ts";
import { bytes, Disk } from "../mvcc/support.ts";
import { encodeMessage } from "../support/messages.ts";

export interface Command {
  readonly kind: CommandKind;
  readonly body: Uint8Array;
}

const writer = new Writer();
const owned = (body: Uint8Array): Uint8Array => Uint8Array.from(body);

type PutFields = Partial<Omit<PutRequest, "key" | "value" | "lease">> & { lease?: bigint };

export const putOf = (key: string, value = "", fields: PutFields = {}): PutRequest => ({
  key: bytes(key),
  value: bytes(value),
  prevKv: false,
  ignoreValue: false,
  ignoreLease: false,
  ...fields,
  lease: fields.lease ? LeaseId(fields.lease) : noLease,
});
export const deleteOf = (key: string, end = "", prevKv = false): DeleteRangeRequest => ({
  key: bytes(key),
  rangeEnd: bytes(end),
  prevKv,
});
export const rangeOf = (
  key: string,
  end = "",
  fields: Partial<RangeRequest> = {},
): RangeRequest => ({
  key: bytes(key),
  rangeEnd: bytes(end),
  limit: 0,
  revision: 0,
  sortOrder: 0,
  sortTarget: 0,
  serializable: false,
  keysOnly: false,
  countOnly: false,
  minModRevision: 0,
  maxModRevision: 0,
  minCreateRevision: 0,
  maxCreateRevision: 0,
  ...fields,
});
export const txnOf = (
  compare: readonly Compare[],
  success: readonly RequestOp[],
  failure: readonly RequestOp[] = [],
): TxnRequest => ({ compare, success, failure });

export const op = {
  put: (...args: Parameters<typeof putOf>): RequestOp => ({
    kind: "put",
    request: putOf(...args),
  }),
  delete: (...args: Parameters<typeof deleteOf>): RequestOp => ({
    kind: "deleteRange",
    request: deleteOf(...args),
  }),
  range: (...args: Parameters<typeof rangeOf>): RequestOp => ({
    kind: "range",
    request: rangeOf(...args),
  }),
  txn: (...args: Parameters<typeof txnOf>): RequestOp => ({
    kind: "txn",
    request: txnOf(...args),
  }),
};

export function compareOf(
  key: string,
  fields: { target: number; result: number; operand?: Compare["operand"]; end?: string },
): Compare {
  const { target, result, operand, end } = fields;
  return { key: bytes(key), rangeEnd: end ? bytes(end) : emptyBytes, target, result, operand };
}

export const command = {
  put: (...args: Parameters<typeof putOf>): Command => ({
    kind: CommandKind.put,
    body: owned(encodePutRequest(writer, putOf(...args))),
  }),
  delete: (...args: Parameters<typeof deleteOf>): Command => ({
    kind: CommandKind.deleteRange,
    body: owned(encodeDeleteRangeRequest(writer, deleteOf(...args))),
  }),
  txn: (...args: Parameters<typeof txnOf>): Command => ({
    kind: CommandKind.txn,
    body: owned(encodeTxnRequest(writer, txnOf(...args))),
  }),
  compact: (revision: number): Command => ({
    kind: CommandKind.compact,
    body: owned(encodeCompactionRequest(writer, { revision, physical: false })),
  }),
  grant: (id: bigint, ttlSec: number): Command => ({
    kind: CommandKind.leaseGrant,
    body: owned(encodeLeaseGrantRequest(writer, { id: LeaseId(id), ttlSec })),
  }),
  revoke: (id: bigint): Command => ({
    kind: CommandKind.leaseRevoke,
    body: owned(encodeLeaseIdRequest(writer, { id: LeaseId(id) })),
  }),
  alarm: (fields: { action: number; alarm: number; memberID: string }): Command => ({
    kind: CommandKind.alarm,
    body: encodeMessage("AlarmRequest", fields),
  }),
  expire: (expiry: Expiry): Command => ({
    kind: CommandKind.leaseExpire,
    body: encodeExpiry(expiry),
  }),
  checkpoint: (checkpoints: Checkpoints): Command => ({
    kind: CommandKind.leaseCheckpoint,
    body: encodeCheckpoints(checkpoints),
  }),
};

/** Leases that exist; attachments are for the store's own tests. */
export const leasesOf = (...ids: readonly bigint[]): LeaseIndex => ({
  attachedCount: 0,
  exists: (lease) => ids.includes(lease),
  attach() {},
  detach() {},
});

export function batchOf(commands: readonly Command[], origin: BatchOrigin): Uint8Array {
  const builder = new BatchBuilder();
  for (const { kind, body } of commands) builder.add(kind, body);
  return builder.finish(origin);
}

/** One member's state machine with its disk and the log that it was fed. */
export class Machine {
  readonly disk = new Disk();
  readonly log: Entry[] = [];
  readonly #options: ApplierOptions;
  applier: Applier;
  /** Of the entries to come. */
  term = Term(1);
  #sequence = 0;

  constructor(options: ApplierOptions = {}) {
    this.#options = options;
    this.applier = Applier.open(this.disk.engine, options);
  }

  /** Appends one batch to the log and applies it. */
  apply(...commands: readonly Command[]): readonly Outcome[] {
    const origin = { member: MemberId(1n), incarnation: 1, sequence: ++this.#sequence };
    return this.applyEntry(batchOf(commands, origin)) ?? [];
  }

  /** The one outcome of the one command. */
  do(one: Command): Outcome {
    const [outcome] = this.apply(one);
    if (outcome === undefined) throw new Error("no outcome");
    return outcome;
  }

  applyEntry(data: Uint8Array, wanted = true): readonly Outcome[] | undefined {
    const entry: Entry = {
      term: this.term,
      index: LogIndex(this.log.length + 1),
      kind: EntryKind.normal,
      data,
    };
    this.log.push(entry);
    return this.applier.apply(entry, wanted);
  }

  submit(): void {
    const batch = this.applier.takeBatch();
    if (batch !== undefined) this.disk.engine.submit(batch, () => this.applier.batchWritten());
  }

  flush(): void {
    this.submit();
    this.disk.complete();
  }

  /** Crashes and applies the log again, as a member does at boot. */
  restart(): void {
    this.disk.crash();
    this.applier = Applier.open(this.disk.engine, this.#options);
    for (const entry of this.log) this.applier.apply(entry, false);
  }
}

/** A row as text: key=value created/modified/version, and the lease if there is one. */
export function showRow(row: Uint8Array): string {
  const pair = decodeKeyValue(row);
  if (pair instanceof Malformed) throw new Error(pair.why);
  const lease = pair.lease === noLease ? "" : ` lease ${pair.lease}`;
  const numbers = `${pair.createRevision}/${pair.modRevision}/${pair.version}`;
  return `${toLatin1(pair.key)}=${toLatin1(pair.value)} ${numbers}${lease}`;
}

/** An outcome as text, revision in front. */
export function show(outcome: Outcome | OpResult): string {
  switch (outcome.kind) {
    case "put":
      return `@${outcome.revision} put${outcome.prevRow ? ` was ${showRow(outcome.prevRow)}` : ""}`;
    case "deleteRange": {
      const rows = outcome.prevRows.map((row) => ` ${showRow(row)}`).join(",");
      return `@${outcome.revision} deleted ${outcome.deleted}${rows}`;
    }
    case "range": {
      const rows = outcome.rows.map(showRow).join(", ");
      return `@${outcome.revision} [${rows}] of ${outcome.count}${outcome.more ? " more" : ""}`;
    }
    case "txn": {
      const results = outcome.results.map(show).join("; ");
      return `@${outcome.revision} ${outcome.succeeded ? "then" : "else"} {${results}}`;
    }
    case "compact":
      return `@${outcome.revision} compacted`;
    case "leaseGrant":
      return `@${outcome.revision} granted ${outcome.id} for ${outcome.ttlSec}`;
    case "leaseDuty":
      return `@${outcome.revision} duty ${outcome.inTerm ? "done" : "of another term"}`;
    case "refused":
      return `refused ${outcome.error.code} ${outcome.error.message}`;
    default:
      return `@${outcome.revision} ${outcome.kind}`;
  }
}
