// One operation at one member: hands it over, and lets the checkers judge what comes back.
import type { Outcome, RangeResult } from "../../src/apply/outcome.ts";
import {
  EtcdError,
  errCompacted,
  errFutureRevision,
  errNoLeader,
  errTooManyRequests,
} from "../../src/base/errors.ts";
import { defaultTiming, requestTicksMax } from "../../src/member/events.ts";
import type { MemberService } from "../../src/member/service.ts";
import type { RangeRequest } from "../../src/proto/kv.ts";
import type { Judges } from "./judges.ts";
import { describeOperation, markerKey, type Operation, type OperationState } from "./operation.ts";
import { listRequest, type Requests, rangeRequest } from "./requests.ts";
import type { SimMember } from "./simMember.ts";
import { check, Violation } from "./violation.ts";

const name = "call";
/** Ticks of its member that a request may take: the time it has, and a tick at either end. */
const answerTicksMax = requestTicksMax(defaultTiming) + 2;

export interface CallParts {
  readonly judges: Judges;
  readonly requests: Requests;
  /** Highest revision that anybody asked to compact. */
  readonly compacted: () => number;
  /** What became of it; called once, in the member's thread. `error` when it was refused. */
  readonly onEnd: (call: Call, state: OperationState, error: EtcdError | undefined) => void;
}

export class Call {
  readonly op: Operation;
  readonly at: SimMember;
  readonly #parts: CallParts;
  #answered = false;
  #beginTick = 0;

  constructor(op: Operation, at: SimMember, parts: CallParts) {
    this.op = op;
    this.at = at;
    this.#parts = parts;
  }

  begin(service: MemberService): void {
    this.#beginTick = this.at.ticks;
    const { action } = this.op;
    const write = this.#parts.requests.write(action);
    if (write !== undefined) {
      service.propose(write.kind, write.body, {
        onOutcome: (outcome) => this.#onOutcome(outcome),
        onRefused: (error) => this.#onRefused(error),
      });
      return;
    }
    const isStale = "serializable" in action && action.serializable;
    if (isStale) this.#read(service);
    else {
      service.readIndex({
        onReady: () => this.#read(service),
        onRefused: (error) => this.#onRefused(error),
      });
    }
  }

  /** A member promises exactly one answer to each call, in time. */
  #answer(): void {
    check(!this.#answered, name, () => `${describeOperation(this.op)} is answered twice`);
    this.#answered = true;
    const ticks = this.at.ticks - this.#beginTick;
    check(
      ticks <= answerTicksMax,
      name,
      () => `m${this.at.id} lets ${describeOperation(this.op)} wait for ${ticks} ticks`,
    );
  }

  #onRefused(error: EtcdError): void {
    this.#answer();
    // The only refusal that says for certain that nothing was proposed.
    const state = error === errTooManyRequests ? "failed" : "unknown";
    this.#parts.onEnd(this, state, error);
  }

  #read(service: MemberService): void {
    this.#answer();
    const result = this.#rangeResult(service);
    if (result instanceof EtcdError) {
      this.#judgeRefusedRead(result);
      this.#parts.onEnd(this, "failed", result);
      return;
    }
    // Who lost what it had acknowledged serves nothing until it has it again.
    const isWhole = this.at.member?.status().isRefilling !== true;
    check(
      isWhole,
      name,
      () => `m${this.at.id} answers ${describeOperation(this.op)} from a refill`,
    );
    this.#judgeRead(result);
    this.op.revision = result.revision;
    this.#parts.onEnd(this, "done", undefined);
  }

  #rangeResult(service: MemberService): RangeResult | EtcdError {
    try {
      return service.state.range(this.#rangeRequest());
    } catch (error) {
      if (error instanceof EtcdError) return error;
      throw error;
    }
  }

  #rangeRequest(): RangeRequest {
    const { action } = this.op;
    switch (action.kind) {
      case "get":
        return rangeRequest(action.key);
      case "old":
        return rangeRequest(action.key, action.revision);
      default:
        return listRequest();
    }
  }

  #judgeRead(result: RangeResult): void {
    const { op } = this;
    const { answers, serializable } = this.#parts.judges;
    const { action } = op;
    const key = "key" in action ? action.key : undefined;
    const at = action.kind === "old" ? action.revision : 0;
    if ("serializable" in action && action.serializable) {
      serializable.read(this.at.id, op, result, key);
    } else op.seen = answers.read(op, result, { key, at, stale: false });
  }

  /** Only the past can be out of reach: when somebody compacted it. */
  #judgeRefusedRead(error: EtcdError): void {
    const { action } = this.op;
    const isGone =
      error === errCompacted && action.kind === "old" && action.revision < this.#parts.compacted();
    // Nor even the past.
    const isRefilling = error === errNoLeader && this.at.member?.status().isRefilling === true;
    check(
      isGone || isRefilling,
      name,
      () => `${describeOperation(this.op)} is refused: ${error.message}`,
    );
  }

  #onOutcome(outcome: Outcome): void {
    this.#answer();
    if (outcome.kind === "refused") {
      this.#judgeRefusedWrite(outcome.error);
      this.#parts.onEnd(this, "failed", outcome.error);
      return;
    }
    this.#judgeWrite(outcome);
    this.op.revision = outcome.revision;
    this.#parts.onEnd(this, "done", undefined);
  }

  #judgeRefusedWrite(error: EtcdError): void {
    const isExpected =
      this.op.action.kind === "compact" && (error === errCompacted || error === errFutureRevision);
    check(isExpected, name, () => `${describeOperation(this.op)} is refused: ${error.message}`);
  }

  #judgeWrite(outcome: Exclude<Outcome, { kind: "refused" }>): void {
    const { op } = this;
    const { action } = op;
    const { answers } = this.#parts.judges;
    const { revision } = outcome;
    if (action.kind === "put" && outcome.kind === "put") {
      answers.put(op, action.key, action.value, revision);
      answers.previous(op, action.key, outcome.prevRow, revision);
    } else if (action.kind === "delete" && outcome.kind === "deleteRange") {
      answers.deleted(op, action.key, { count: outcome.deleted, revision });
      if (outcome.deleted > 0) answers.previous(op, action.key, outcome.prevRows[0], revision);
    } else if (action.kind === "clear" && outcome.kind === "txn") {
      answers.cleared(op, markerKey, action.value, outcome);
    } else if (action.kind === "pair" && outcome.kind === "txn") {
      for (const key of action.keys) answers.put(op, key, action.value, revision);
    } else if (action.kind === "swap" && outcome.kind === "txn") {
      op.swapped = outcome.succeeded;
      op.seen = answers.swap(op, action, outcome);
    } else if (action.kind !== "compact" || outcome.kind !== "compact") {
      throw new Violation(name, `${describeOperation(op)} is answered by ${outcome.kind}`);
    }
  }
}
