// Whether the writes of a txn collide: a key may be put once, and not be put and deleted, unless the
// two never run together. Order of judgement, as in etcd, within one list of ops:
//
//   1. its own deletes   2. each nested txn in turn: then ∪ else   3. its own puts
//
// A put collides with every put and every delete judged before it. So a nested put collides with a
// delete of an earlier sibling, and a nested delete after a sibling's put is let through.
import { toLatin1 } from "../base/bytes.ts";
import type { DeleteRangeRequest, RequestOp, TxnRequest } from "../proto/kv.ts";

/** What a list of ops writes; keys as latin1, which sorts as the bytes do. */
interface Writes {
  readonly puts: Set<string>;
  readonly deletes: readonly Span[];
}

/** Keys in [from, to). Lists of spans are sorted, and their members do not touch. */
interface Span {
  readonly from: string;
  readonly to: string;
}

/** Whether the ops of one branch, with all that is nested in them, collide. */
export function writesCollide(ops: readonly RequestOp[]): boolean {
  return mayCollide(ops) && writesOf(ops) === undefined;
}

/** False for the usual txn: at most one write, or none but deletes. */
function mayCollide(ops: readonly RequestOp[]): boolean {
  let puts = 0;
  let deletes = 0;
  for (const op of ops) {
    if (op.kind === "txn") return true;
    if (op.kind === "put") puts++;
    else if (op.kind === "deleteRange") deletes++;
  }
  return puts > 1 || (puts === 1 && deletes > 0);
}

/**
 * Undefined: they collide. A nested write is looked at once for each op of the lists around it; etcd's
 * limit on ops holds the sum of these below 128, so the work is linear in the request.
 */
function writesOf(ops: readonly RequestOp[]): Writes | undefined {
  let deletes = ownDeletes(ops);
  let puts = new Set<string>();
  for (const op of ops) {
    if (op.kind !== "txn") continue;
    const nested = writesOfTxn(op.request);
    if (nested === undefined) return undefined;
    for (const key of nested.puts) if (puts.has(key) || covers(deletes, key)) return undefined;
    puts = union(puts, nested.puts);
    deletes = merged(deletes, nested.deletes);
  }
  for (const op of ops) {
    if (op.kind !== "put") continue;
    const key = toLatin1(op.request.key);
    if (puts.has(key) || covers(deletes, key)) return undefined;
    puts.add(key);
  }
  return { puts, deletes };
}

/** Only one of its branches will run, so they cannot collide with each other. */
function writesOfTxn(request: TxnRequest): Writes | undefined {
  const success = writesOf(request.success);
  if (success === undefined) return undefined;
  const failure = writesOf(request.failure);
  if (failure === undefined) return undefined;
  return {
    puts: union(success.puts, failure.puts),
    deletes: merged(success.deletes, failure.deletes),
  };
}

function ownDeletes(ops: readonly RequestOp[]): readonly Span[] {
  const spans: Span[] = [];
  for (const op of ops) if (op.kind === "deleteRange") spans.push(spanOf(op.request));
  spans.sort((a, b) => (a.from < b.from ? -1 : a.from > b.from ? 1 : 0));
  return joined(spans);
}

/**
 * etcd judges the end `\0` (no end) by its bytes, as an end before every key: such a delete collides
 * with nothing, nor does one whose end is not above its key.
 */
function spanOf(request: DeleteRangeRequest): Span {
  const from = toLatin1(request.key);
  return { from, to: request.rangeEnd.length === 0 ? `${from}\0` : toLatin1(request.rangeEnd) };
}

/** @param spans sorted by `from`; empty ones are dropped, touching ones become one. */
function joined(spans: readonly Span[]): readonly Span[] {
  const result: Span[] = [];
  for (const span of spans) {
    const last = result.at(-1);
    if (span.from >= span.to || (last !== undefined && span.to <= last.to)) continue;
    if (last === undefined || span.from > last.to) result.push(span);
    else result[result.length - 1] = { from: last.from, to: span.to };
  }
  return result;
}

function merged(a: readonly Span[], b: readonly Span[]): readonly Span[] {
  if (a.length === 0) return b;
  if (b.length === 0) return a;
  const both: Span[] = [];
  let i = 0;
  let j = 0;
  while (true) {
    const left = a[i];
    const right = b[j];
    if (left !== undefined && (right === undefined || left.from <= right.from)) {
      both.push(left);
      i++;
    } else if (right !== undefined) {
      both.push(right);
      j++;
    } else return joined(both);
  }
}

function covers(spans: readonly Span[], key: string): boolean {
  // The last span that begins at or before the key is the only one that can hold it.
  let low = 0;
  let high = spans.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((spans[middle]?.from ?? "") <= key) low = middle + 1;
    else high = middle;
  }
  const span = spans[low - 1];
  return span !== undefined && key < span.to;
}

/** May give one of the two, changed: neither is used afterwards. */
function union(a: Set<string>, b: Set<string>): Set<string> {
  const [large, small] = a.size < b.size ? [b, a] : [a, b];
  for (const key of small) large.add(key);
  return large;
}
