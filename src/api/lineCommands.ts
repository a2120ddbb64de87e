// What locks and elections write: a place in the line, what its holder says, and its end.
import { CommandKind } from "../apply/command.ts";
import type { Outcome } from "../apply/outcome.ts";
import { unreachable } from "../base/assert.ts";
import type { LeaseId } from "../base/brand.ts";
import { emptyBytes } from "../base/bytes.ts";
import { type EtcdError, errInside, errStopped, StatusCode } from "../base/errors.ts";
import type { MemberService, ProposalCompletion } from "../member/service.ts";
import { encodeDeleteRangeRequest, encodeTxnRequest } from "../proto/encodeRequests.ts";
import {
  type Compare,
  CompareResult,
  CompareTarget,
  type PutRequest,
  type RangeRequest,
  type RequestOp,
  SortOrder,
  SortTarget,
} from "../proto/kv.ts";
import { encodeLeaseGrantRequest, encodeLeaseIdRequest } from "../proto/leaseCodec.ts";
import type { Writer } from "../proto/writer.ts";
import { checkDeleteRange, checkSize } from "./validate.ts";

/** Of a lease for a call that brings none, as etcd's: nobody renews it. */
export const sessionTtlSec = 60;

/** Exactly one of the two is called, once; refusals are what the member said: see `letOut`. */
export interface CommandCompletion<Kind extends Outcome["kind"]> {
  onDone(outcome: OutcomeOf<Kind>): void;
  onRefused(error: EtcdError): void;
}

/** A key that counts only while it is the one that this revision created. */
export interface KeyLife {
  readonly key: Uint8Array;
  readonly createRevision: number;
}

export class LineCommands {
  readonly #member: MemberService;
  readonly #writer: Writer;

  constructor(member: MemberService, writer: Writer) {
    this.#member = member;
    this.#writer = writer;
  }

  grant(completion: CommandCompletion<"leaseGrant">): void {
    const request = { id: this.#member.leases.pickId(), ttlSec: sessionTtlSec };
    const body = encodeLeaseGrantRequest(this.#writer, request);
    this.#propose(CommandKind.leaseGrant, body, only("leaseGrant", completion));
  }

  revoke(id: LeaseId, completion: CommandCompletion<"leaseRevoke">): void {
    const body = encodeLeaseIdRequest(this.#writer, { id });
    this.#propose(CommandKind.leaseRevoke, body, only("leaseRevoke", completion));
  }

  /** Puts the key unless it is there; then its row is the only result. */
  stepIn({ key, value, lease }: Saying, completion: CommandCompletion<"txn">): void {
    const life = { key, createRevision: 0 };
    const get = { kind: "range", request: { ...plainRange, key } } as const;
    this.#txn(life, [putOf({ key, value, lease })], [get], completion);
  }

  say(life: KeyLife, said: Omit<Saying, "key">, completion: CommandCompletion<"txn">): void {
    this.#txn(life, [putOf({ ...said, key: life.key })], [], completion);
  }

  stepOut(life: KeyLife, completion: CommandCompletion<"txn">): void {
    const request = { key: life.key, rangeEnd: emptyBytes, prevKv: false };
    this.#txn(life, [{ kind: "deleteRange", request }], [], completion);
  }

  /** Whatever life it is in. */
  remove(key: Uint8Array, completion: CommandCompletion<"deleteRange">): void {
    const request = { key, rangeEnd: emptyBytes, prevKv: false };
    const refusal = checkDeleteRange(request);
    if (refusal !== undefined) {
      completion.onRefused(refusal);
      return;
    }
    const body = encodeDeleteRangeRequest(this.#writer, request);
    this.#propose(CommandKind.deleteRange, body, only("deleteRange", completion));
  }

  #txn(
    life: KeyLife,
    success: readonly RequestOp[],
    failure: readonly RequestOp[],
    completion: CommandCompletion<"txn">,
  ): void {
    const request = { compare: [isCreated(life)], success, failure };
    this.#propose(
      CommandKind.txn,
      encodeTxnRequest(this.#writer, request),
      only("txn", completion),
    );
  }

  #propose(kind: CommandKind, body: Uint8Array, completion: ProposalCompletion): void {
    const refusal = checkSize(body);
    if (refusal !== undefined) completion.onRefused(refusal);
    else this.#member.propose(kind, body, completion);
  }
}

type Saying = Pick<PutRequest, "key" | "value" | "lease">;
type OutcomeOf<Kind extends Outcome["kind"]> = Extract<Outcome, { readonly kind: Kind }>;

function only<Kind extends Outcome["kind"]>(
  kind: Kind,
  completion: CommandCompletion<Kind>,
): ProposalCompletion {
  return {
    onOutcome: (outcome) => {
      if (outcome.kind === "refused") completion.onRefused(outcome.error);
      else if (isOf(kind, outcome)) completion.onDone(outcome);
      else unreachable("the outcome of another command");
    },
    onRefused: (error) => completion.onRefused(error),
  };
}

function isOf<Kind extends Outcome["kind"]>(
  kind: Kind,
  outcome: Outcome,
): outcome is OutcomeOf<Kind> {
  return outcome.kind === kind;
}

/** As the services let it out. A member that stops says so itself: its client tries another one. */
export function letOut(error: EtcdError): EtcdError {
  return error === errStopped || error.code === StatusCode.unknown ? error : errInside(error);
}

const putOf = ({ key, value, lease }: Saying): RequestOp => ({
  kind: "put",
  request: { key, value, lease, prevKv: false, ignoreValue: false, ignoreLease: false },
});

const isCreated = ({ key, createRevision }: KeyLife): Compare => ({
  result: CompareResult.equal,
  target: CompareTarget.create,
  key,
  rangeEnd: emptyBytes,
  operand: { kind: "create", value: createRevision },
});

/** The current state of a single key, once `key` is filled in. */
export const plainRange: RangeRequest = {
  key: emptyBytes,
  rangeEnd: emptyBytes,
  limit: 0,
  revision: 0,
  sortOrder: SortOrder.none,
  sortTarget: SortTarget.key,
  serializable: true,
  keysOnly: false,
  countOnly: false,
  minModRevision: 0,
  maxModRevision: 0,
  minCreateRevision: 0,
  maxCreateRevision: 0,
};
