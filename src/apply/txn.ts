// Txn in three steps, so that it is whole or not at all: decide all branches on the state before it,
// check everything on the taken path, then execute. The last step cannot be refused.
import { Revision } from "../base/brand.ts";
import { type EtcdError, errCompacted, errFutureRevision } from "../base/errors.ts";
import type { AnswerBytes } from "../mvcc/answerBytes.ts";
import type { Store } from "../mvcc/store.ts";
import type { RequestOp, TxnRequest } from "../proto/kv.ts";
import { allHold } from "./compare.ts";
import type { OpResult, RefusedResult, TxnResult } from "./outcome.ts";
import { range } from "./range.ts";
import { deleteRange, keyRefusal, leaseRefusal, put } from "./writes.ts";

/** The taken branch, and the same for each nested txn in it. */
interface Plan {
  readonly succeeded: boolean;
  readonly steps: readonly Step[];
}
type Step = Exclude<RequestOp, { kind: "txn" }> | { readonly kind: "txn"; readonly plan: Plan };

interface Wish {
  /** False: nobody looks at the results. */
  readonly wanted: boolean;
  /** Counts what all ranges tell; undefined where the door must not make a difference. */
  readonly answer?: AnswerBytes;
}

/** etcd leaves the headers of nested txns empty. */
const noRevision = Revision(0);

/** @returns undefined when the outcome is not wanted. A refused txn has changed nothing. */
export function txn(
  store: Store,
  request: TxnRequest,
  wanted: boolean,
): TxnResult | RefusedResult | undefined {
  const plan = planOf(store, request);
  const error = putRefusal(store, plan) ?? rangeRefusal(store, plan);
  if (error !== undefined) return wanted ? { kind: "refused", error } : undefined;
  store.write.begin();
  const results = execute(store, plan, { wanted });
  const revision = store.write.end();
  if (!wanted) return undefined;
  return { kind: "txn", revision, succeeded: plan.succeeded, results };
}

/**
 * A txn that writes nothing, at the current state.
 * @throws {EtcdError} compacted or future revision; an answer that becomes too large.
 */
export function readTxn(store: Store, request: TxnRequest, answer: AnswerBytes): TxnResult {
  const plan = planOf(store, request);
  const error = rangeRefusal(store, plan);
  if (error !== undefined) throw error;
  const results = execute(store, plan, { wanted: true, answer });
  return { kind: "txn", revision: store.revision, succeeded: plan.succeeded, results };
}

function planOf(store: Store, request: TxnRequest): Plan {
  const succeeded = allHold(store, request.compare);
  const ops = succeeded ? request.success : request.failure;
  return { succeeded, steps: ops.map((op) => stepOf(store, op)) };
}

function stepOf(store: Store, op: RequestOp): Step {
  return op.kind === "txn" ? { kind: "txn", plan: planOf(store, op.request) } : op;
}

/** All puts are looked at before any range, and the key before the lease: etcd's order. */
function putRefusal(store: Store, plan: Plan): EtcdError | undefined {
  for (const step of plan.steps) {
    let error: EtcdError | undefined;
    if (step.kind === "txn") error = putRefusal(store, step.plan);
    else if (step.kind === "put") {
      error = keyRefusal(store, step.request) ?? leaseRefusal(store, step.request);
    }
    if (error !== undefined) return error;
  }
  return undefined;
}

function rangeRefusal(store: Store, plan: Plan): EtcdError | undefined {
  for (const step of plan.steps) {
    let error: EtcdError | undefined;
    if (step.kind === "txn") error = rangeRefusal(store, step.plan);
    else if (step.kind === "range") error = revisionRefusal(store, step.request.revision);
    if (error !== undefined) return error;
  }
  return undefined;
}

/** Unlike a range of its own, one in a txn may not ask for a negative revision below the floor. */
function revisionRefusal(store: Store, revision: number): EtcdError | undefined {
  if (revision === 0) return undefined;
  if (revision > store.revision) return errFutureRevision;
  return revision < store.compactedRevision ? errCompacted : undefined;
}

/** @returns one result per step; fewer when they are not wanted. */
function execute(store: Store, plan: Plan, wish: Wish): readonly OpResult[] {
  const results: OpResult[] = [];
  for (const step of plan.steps) {
    const result = executeStep(store, step, wish);
    if (result !== undefined) results.push(result);
  }
  return results;
}

function executeStep(store: Store, step: Step, wish: Wish): OpResult | undefined {
  const { wanted, answer } = wish;
  switch (step.kind) {
    case "range":
      return wanted ? range(store, step.request, answer) : undefined;
    case "put":
      return put(store, step.request, wanted);
    case "deleteRange":
      return deleteRange(store, step.request, wanted);
    case "txn": {
      const results = execute(store, step.plan, wish);
      return { kind: "txn", revision: noRevision, succeeded: step.plan.succeeded, results };
    }
    case "none":
      // Refused at the door; from the log it does nothing, alike on every member.
      return undefined;
  }
}
