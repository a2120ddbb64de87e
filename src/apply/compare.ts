// The guards of a txn: attributes of keys against operands (semantics, section 5).
import { noLease } from "../base/brand.ts";
import { compareBytes, emptyBytes } from "../base/bytes.ts";
import type { KeyVersion } from "../mvcc/keyHistory.ts";
import { keyRange } from "../mvcc/readView.ts";
import { rowLease, rowValue } from "../mvcc/row.ts";
import type { Store } from "../mvcc/store.ts";
import { type Compare, CompareResult, CompareTarget } from "../proto/kv.ts";

/** Whether all guards hold in the state as it is now. No guards hold. */
export function allHold(store: Store, guards: readonly Compare[]): boolean {
  for (const guard of guards) if (!holds(store, guard)) return false;
  return true;
}

/** A guard over a range must hold for every key of it. */
function holds(store: Store, guard: Compare): boolean {
  if (guard.rangeEnd.length === 0) {
    const version = store.read.version(guard.key);
    return version === undefined ? holdsForNone(guard) : holdsFor(store, guard, version);
  }
  const versions = store.read.versions(keyRange(guard.key, guard.rangeEnd));
  if (versions.length === 0) return holdsForNone(guard);
  return versions.every((version) => holdsFor(store, guard, version));
}

/** A missing key has attributes of 0; it has no value that anything could be said of. */
function holdsForNone(guard: Compare): boolean {
  switch (guard.target) {
    case CompareTarget.value:
      return false;
    case CompareTarget.lease:
      return verdict(guard.result, order(noLease, leaseOperand(guard)));
    default:
      return verdict(guard.result, order(0, numberOperand(guard)));
  }
}

function holdsFor(store: Store, guard: Compare, version: KeyVersion): boolean {
  switch (guard.target) {
    case CompareTarget.version:
      return verdict(guard.result, order(version.version, numberOperand(guard)));
    case CompareTarget.create:
      return verdict(guard.result, order(version.created, numberOperand(guard)));
    case CompareTarget.mod:
      return verdict(guard.result, order(version.modified, numberOperand(guard)));
    case CompareTarget.value:
      return verdict(
        guard.result,
        compareBytes(rowValue(store.read.rowOf(version)), valueOperand(guard)),
      );
    case CompareTarget.lease:
      return verdict(guard.result, order(rowLease(store.read.rowOf(version)), leaseOperand(guard)));
    default:
      return verdict(guard.result, 0);
  }
}

/** The operand, 0 when it does not belong to the target; of an unknown target there is none. */
function numberOperand({ target, operand }: Compare): number {
  switch (operand?.kind) {
    case "version":
      return target === CompareTarget.version ? operand.value : 0;
    case "create":
      return target === CompareTarget.create ? operand.value : 0;
    case "mod":
      return target === CompareTarget.mod ? operand.value : 0;
    default:
      return 0;
  }
}

const leaseOperand = ({ operand }: Compare): bigint =>
  operand?.kind === "lease" ? operand.value : noLease;

const valueOperand = ({ operand }: Compare): Uint8Array =>
  operand?.kind === "value" ? operand.value : emptyBytes;

function order<T extends number | bigint>(a: T, b: T): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** Unknown results hold. */
function verdict(result: number, ordered: number): boolean {
  switch (result) {
    case CompareResult.equal:
      return ordered === 0;
    case CompareResult.notEqual:
      return ordered !== 0;
    case CompareResult.greater:
      return ordered > 0;
    case CompareResult.less:
      return ordered < 0;
    default:
      return true;
  }
}
