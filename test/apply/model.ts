// The state machine at its most naive: a copy of the whole state for each revision, etcd's rules in
// the order in which the reference tells them, and no thought of speed.
import { toLatin1 } from "../../src/base/bytes.ts";
import {
  type Compare,
  CompareResult,
  CompareTarget,
  type DeleteRangeRequest,
  type PutRequest,
  type RangeRequest,
  type RequestOp,
  SortOrder,
  SortTarget,
  type TxnRequest,
} from "../../src/proto/kv.ts";

export interface ModelPair {
  readonly key: string;
  readonly value: string;
  readonly created: number;
  readonly modified: number;
  readonly version: number;
  readonly lease: bigint;
}
type State = ReadonlyMap<string, ModelPair>;

const refusals = {
  lease: "refused 5 etcdserver: requested lease not found",
  key: "refused 3 etcdserver: key not found",
  compacted: "refused 11 etcdserver: mvcc: required revision has been compacted",
  future: "refused 11 etcdserver: mvcc: required revision is a future revision",
};

export class Model {
  /** By revision; that of 0 is never seen. */
  readonly states: State[] = [new Map(), new Map()];
  compacted = -1;
  readonly #leases: readonly bigint[];

  constructor(leases: readonly bigint[]) {
    this.#leases = leases;
  }

  get revision(): number {
    return this.states.length - 1;
  }

  put(request: PutRequest): string {
    const refusal = this.#leaseRefusal(request) ?? this.#keyRefusal(request);
    if (refusal !== undefined) return refusal;
    const work = new Work(this.#now, this.revision);
    const answer = work.put(request);
    this.#commit(work);
    return answer;
  }

  deleteRange(request: DeleteRangeRequest): string {
    const work = new Work(this.#now, this.revision);
    const answer = work.deleteRange(request);
    this.#commit(work);
    return answer;
  }

  compact(revision: number): string {
    if (revision <= this.compacted) return refusals.compacted;
    if (revision > this.revision) return refusals.future;
    this.compacted = revision;
    return `@${this.revision} compacted`;
  }

  range(request: RangeRequest): string {
    if (request.revision > this.revision) return refusals.future;
    if (request.revision > 0 && request.revision < this.compacted) return refusals.compacted;
    const state = request.revision > 0 ? this.states[request.revision] : this.#now;
    return rangeIn(state ?? new Map(), request, this.revision);
  }

  txn(request: TxnRequest): string {
    const path = this.#path(request);
    const ops = flatOps(path);
    for (const op of ops) {
      if (op.kind !== "put") continue;
      const refusal = this.#keyRefusal(op.request) ?? this.#leaseRefusal(op.request);
      if (refusal !== undefined) return refusal;
    }
    for (const op of ops) {
      if (op.kind !== "range" || op.request.revision === 0) continue;
      if (op.request.revision > this.revision) return refusals.future;
      if (op.request.revision < this.compacted) return refusals.compacted;
    }
    const work = new Work(this.#now, this.revision);
    const answer = this.#run(path, work);
    this.#commit(work);
    return `@${this.revision} ${answer}`;
  }

  get #now(): State {
    return this.states.at(-1) ?? new Map();
  }

  #commit(work: Work): void {
    if (work.changed) this.states.push(work.state);
  }

  #leaseRefusal(request: PutRequest): string | undefined {
    return request.lease === 0n || this.#leases.includes(request.lease)
      ? undefined
      : refusals.lease;
  }

  #keyRefusal(request: PutRequest): string | undefined {
    if (!request.ignoreValue && !request.ignoreLease) return undefined;
    return this.#now.has(toLatin1(request.key)) ? undefined : refusals.key;
  }

  #path(request: TxnRequest): Path {
    const succeeded = request.compare.every((guard) => holds(this.#now, guard));
    const ops = succeeded ? request.success : request.failure;
    return {
      succeeded,
      steps: ops.map((op) => (op.kind === "txn" ? this.#path(op.request) : op)),
    };
  }

  #run(path: Path, work: Work): string {
    const answers = path.steps.flatMap((step) => {
      if (!("kind" in step)) return [`@0 ${this.#run(step, work)}`];
      switch (step.kind) {
        case "put":
          return [work.put(step.request)];
        case "deleteRange":
          return [work.deleteRange(step.request)];
        case "range": {
          const past = step.request.revision > 0 ? this.states[step.request.revision] : undefined;
          return [rangeIn(past ?? work.state, step.request, work.revision)];
        }
        default:
          return [];
      }
    });
    return `${path.succeeded ? "then" : "else"} {${answers.join("; ")}}`;
  }
}

interface Path {
  readonly succeeded: boolean;
  readonly steps: readonly (RequestOp | Path)[];
}

function flatOps(path: Path): readonly RequestOp[] {
  return path.steps.flatMap((step) => ("kind" in step ? [step] : flatOps(step)));
}

/** The changes of one revision under way. */
class Work {
  readonly state: Map<string, ModelPair>;
  readonly #before: number;
  changed = false;

  constructor(state: State, before: number) {
    this.state = new Map(state);
    this.#before = before;
  }

  get revision(): number {
    return this.#before + (this.changed ? 1 : 0);
  }

  put(request: PutRequest): string {
    const key = toLatin1(request.key);
    const old = this.state.get(key);
    const modified = this.#before + 1;
    this.changed = true;
    this.state.set(key, {
      key,
      value: request.ignoreValue ? (old?.value ?? "") : toLatin1(request.value),
      created: old?.created ?? modified,
      modified,
      version: (old?.version ?? 0) + 1,
      lease: request.ignoreLease ? (old?.lease ?? 0n) : request.lease,
    });
    return `@${modified} put${request.prevKv && old ? ` was ${showPair(old)}` : ""}`;
  }

  deleteRange(request: DeleteRangeRequest): string {
    const doomed = pairsIn(this.state, request.key, request.rangeEnd);
    for (const { key } of doomed) this.state.delete(key);
    if (doomed.length > 0) this.changed = true;
    const shown = request.prevKv ? doomed.map((pair) => ` ${showPair(pair)}`).join(",") : "";
    return `@${this.revision} deleted ${doomed.length}${shown}`;
  }
}

function pairsIn(state: State, keyBytes: Uint8Array, endBytes: Uint8Array): ModelPair[] {
  const [key, end] = [toLatin1(keyBytes), toLatin1(endBytes)];
  return [...state.values()]
    .filter((pair) => {
      if (end === "") return pair.key === key;
      return pair.key >= key && (end === "\0" || pair.key < end);
    })
    .sort((a, b) => (a.key < b.key ? -1 : 1));
}

function rangeIn(state: State, request: RangeRequest, revision: number): string {
  const all = pairsIn(state, request.key, request.rangeEnd);
  if (request.countOnly) return `@${revision} [] of ${all.length}`;
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request;
  const filtered = minModRevision || maxModRevision || minCreateRevision || maxCreateRevision;
  const early = request.limit > 0 && request.sortOrder === SortOrder.none && !filtered;
  const fetched = early ? all.slice(0, request.limit + 1) : all;
  const kept = fetched.filter(
    ({ modified, created }) =>
      (!minModRevision || modified >= minModRevision) &&
      (!maxModRevision || modified <= maxModRevision) &&
      (!minCreateRevision || created >= minCreateRevision) &&
      (!maxCreateRevision || created <= maxCreateRevision),
  );
  const attribute = attributeOf(request.sortTarget);
  const sign = request.sortOrder === SortOrder.descend ? -1 : 1;
  kept.sort((a, b) => sign * order(attribute(a), attribute(b)) || order(a.key, b.key));
  const more = request.limit > 0 && kept.length > request.limit;
  const cut = more ? kept.slice(0, request.limit) : kept;
  const shown = cut.map((pair) => showPair(request.keysOnly ? { ...pair, value: "" } : pair));
  return `@${revision} [${shown.join(", ")}] of ${all.length}${more ? " more" : ""}`;
}

function attributeOf(target: number): (pair: ModelPair) => number | string {
  switch (target) {
    case SortTarget.version:
      return (pair) => pair.version;
    case SortTarget.create:
      return (pair) => pair.created;
    case SortTarget.mod:
      return (pair) => pair.modified;
    case SortTarget.value:
      return (pair) => pair.value;
    default:
      return (pair) => pair.key;
  }
}

function holds(state: State, guard: Compare): boolean {
  const pairs = pairsIn(state, guard.key, guard.rangeEnd);
  if (pairs.length === 0) {
    if (guard.target === CompareTarget.value) return false;
    const none = { key: "", value: "", created: 0, modified: 0, version: 0, lease: 0n };
    return holdsFor(none, guard);
  }
  return pairs.every((pair) => holdsFor(pair, guard));
}

function holdsFor(pair: ModelPair, { target, result, operand }: Compare): boolean {
  const attributes = {
    [CompareTarget.version]: ["version", pair.version, 0],
    [CompareTarget.create]: ["create", pair.created, 0],
    [CompareTarget.mod]: ["mod", pair.modified, 0],
    [CompareTarget.value]: ["value", pair.value, ""],
    [CompareTarget.lease]: ["lease", pair.lease, 0n],
  } as const;
  const [kind, have, zero] = attributes[target as keyof typeof attributes];
  const given = operand?.kind === "value" ? toLatin1(operand.value) : operand?.value;
  const want = operand?.kind === kind && given !== undefined ? given : zero;
  const ordered = order(have, want);
  if (result === CompareResult.equal) return ordered === 0;
  if (result === CompareResult.notEqual) return ordered !== 0;
  return result === CompareResult.greater ? ordered > 0 : ordered < 0;
}

function order(a: number | string | bigint, b: number | string | bigint): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

function showPair({ key, value, created, modified, version, lease }: ModelPair): string {
  return `${key}=${value} ${created}/${modified}/${version}${lease ? ` lease ${lease}` : ""}`;
}
