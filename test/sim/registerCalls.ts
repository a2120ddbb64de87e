// What the operations of a run did to each key, as calls of registers.
import { checkRegister, type RegisterCall } from "./checkers/registers.ts";
import { type Guard, markerKey, type Operation } from "./operation.ts";

type Part = Pick<RegisterCall, "found" | "wrote">;

/** @throws {Violation} when the history of some key is not linearizable. */
export function checkRegisters(operations: readonly Operation[], keys: readonly string[]): void {
  const byKey = new Map<string, RegisterCall[]>();
  for (const op of operations) {
    if (op.state === "failed" || op.state === "open") continue;
    for (const [key, part] of partsOf(op, keys)) {
      const calls = byKey.get(key) ?? [];
      calls.push({ op, callUs: op.callUs, returnUs: op.returnUs, ...part });
      byKey.set(key, calls);
    }
  }
  for (const [key, calls] of byKey) checkRegister(key, calls);
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
      const swapped = { found: { value: guardedValue(action.guard) }, ...wrote(action.value) };
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
