// What the operations of a run did to each key, as calls of registers.
import { orderFault, type StoreCall } from "./checkers/order.ts";
import { checkRegister, type RegisterCall } from "./checkers/registers.ts";
import { type Guard, markerKey, type Operation } from "./operation.ts";
import { Violation } from "./violation.ts";

type Part = Pick<RegisterCall, "found" | "wrote">;

/**
 * @param revisionOf of a write that is known to have happened, answered or not; without it each key is
 *        searched by itself.
 * @throws {Violation} when the history of some key, or of all of them together, is not linearizable.
 */
export function checkRegisters(
  operations: readonly Operation[],
  keys: readonly string[],
  revisionOf?: (op: Operation) => number | undefined,
): void {
  const storeCalls: StoreCall[] = [];
  const counted: [Operation, readonly (readonly [string, Part])[]][] = [];
  for (const op of operations) {
    if (op.state === "failed" || op.state === "open") continue;
    const parts = partsOf(op, keys);
    const made = revisionOf?.(op);
    const revision = op.state === "done" ? op.revision : made;
    if (revision !== undefined && parts.length > 0)
      storeCalls.push({ op, revision, madeRevision: made !== undefined, ...effectsOf(parts) });
    counted.push([op, parts]);
  }
  const fault = revisionOf === undefined ? "no revisions" : orderFault(storeCalls);
  if (fault === undefined) return;
  for (const [key, calls] of callsByKey(counted)) checkRegister(key, calls);
  if (revisionOf !== undefined)
    throw new Violation("registers", `no order explains all keys together: ${fault}`);
}

function callsByKey(
  counted: readonly (readonly [Operation, readonly (readonly [string, Part])[]])[],
): ReadonlyMap<string, readonly RegisterCall[]> {
  const byKey = new Map<string, RegisterCall[]>();
  for (const [op, parts] of counted) {
    for (const [key, part] of parts) {
      const calls = byKey.get(key) ?? [];
      calls.push({ op, callUs: op.callUs, returnUs: op.returnUs, ...part });
      byKey.set(key, calls);
    }
  }
  return byKey;
}

function effectsOf(
  parts: readonly (readonly [string, Part])[],
): Pick<StoreCall, "found" | "wrote"> {
  const found = new Map<string, string | undefined>();
  const wrote = new Map<string, string | undefined>();
  for (const [key, part] of parts) {
    if (part.found !== undefined) found.set(key, part.found.value);
    if (part.wrote !== undefined) wrote.set(key, part.wrote.value);
  }
  return { found, wrote };
}

function partsOf(op: Operation, keys: readonly string[]): readonly (readonly [string, Part])[] {
  const { action, state, seen } = op;
  const found = (key: string): Part => ({ found: { value: seen?.get(key) } });
  const wrote = (value: string | undefined): Part => ({ wrote: { value } });
  switch (action.kind) {
    case "put":
      return [[action.key, wrote(action.value)]];
    case "delete":
      return [[action.key, wrote(undefined)]];
    case "clear":
      return [
        ...keys.map((key) => [key, wrote(undefined)] as const),
        [markerKey, wrote(action.value)],
      ];
    case "pair":
      return action.keys.map((key) => [key, wrote(action.value)] as const);
    case "swap": {
      const swapped = {
        found: { value: guardedValue(action.guard) },
        wrote: { value: action.value },
      };
      return [[action.key, state === "done" && !op.swapped ? found(action.key) : swapped]];
    }
    case "get":
      return state === "done" && !action.serializable ? [[action.key, found(action.key)]] : [];
    case "list":
      return state === "done" && !action.serializable
        ? keys.map((key) => [key, found(key)] as const)
        : [];
    case "old":
    case "compact":
      return [];
  }
}

function guardedValue(guard: Guard): string | undefined {
  return guard.kind === "absent" ? undefined : guard.value;
}
