// One request of a client, from its call to whatever became of it. The workload makes operations, the
// checkers judge them.

export type Guard =
  | { readonly kind: "value"; readonly value: string }
  /** `value` is what the client saw at that mod revision; 0 and undefined: nothing. */
  | { readonly kind: "mod"; readonly revision: number; readonly value: string | undefined }
  /** The key must not exist. */
  | { readonly kind: "absent" };

export type Action =
  /** `value` is unlike that of any other operation, here and below. */
  | { readonly kind: "put"; readonly key: string; readonly value: string }
  | { readonly kind: "delete"; readonly key: string }
  /** Deletes all keys and puts the marker, as one txn. */
  | { readonly kind: "clear"; readonly value: string }
  /** Puts two keys, as one txn. */
  | { readonly kind: "pair"; readonly keys: readonly [string, string]; readonly value: string }
  /** Puts if the guard holds, reads if not. */
  | { readonly kind: "swap"; readonly key: string; readonly guard: Guard; readonly value: string }
  | { readonly kind: "get"; readonly key: string; readonly serializable: boolean }
  | { readonly kind: "list"; readonly serializable: boolean }
  /** Reads the past. */
  | { readonly kind: "old"; readonly key: string; readonly revision: number }
  | { readonly kind: "compact"; readonly revision: number };

/**
 * open: no answer yet; done: answered; unknown: no answer will come, it may have happened or may yet
 * happen; failed: it certainly never happens.
 */
export type OperationState = "open" | "done" | "unknown" | "failed";

export interface Operation {
  readonly id: number;
  readonly client: number;
  readonly action: Action;
  readonly callUs: number;
  /** Highest revision that any member had applied at the call. */
  readonly floor: number;
  state: OperationState;
  /** Of the answer; infinite without one. */
  returnUs: number;
  /** Of the answer's header. */
  revision: number;
  /** Done: what a read or a failed swap saw; by key, only living ones. */
  seen: ReadonlyMap<string, string> | undefined;
  /** Done: a swap's guard held. */
  swapped: boolean;
}

/** All keys of the load are in [keysFrom, keysTo); the marker is not. */
export const keysFrom = "k";
export const keysTo = "l";
export const markerKey = "m";

export function describeAction(action: Action): string {
  switch (action.kind) {
    case "put":
      return `put ${action.key}=${shortened(action.value)}`;
    case "delete":
      return `delete ${action.key}`;
    case "clear":
      return `clear ${action.value}`;
    case "pair":
      return `pair ${action.keys.join(",")}=${shortened(action.value)}`;
    case "swap":
      return `swap ${action.key} if ${describeGuard(action.guard)} to ${shortened(action.value)}`;
    case "get":
      return `${action.serializable ? "serializable " : ""}get ${action.key}`;
    case "list":
      return `${action.serializable ? "serializable " : ""}list`;
    case "old":
      return `get ${action.key} at ${action.revision}`;
    case "compact":
      return `compact ${action.revision}`;
  }
}

export const describeOperation = (op: Operation): string =>
  `#${op.id} of client ${op.client} (${describeAction(op.action)}, floor ${op.floor})`;

function describeGuard(guard: Guard): string {
  switch (guard.kind) {
    case "value":
      return `value=${shortened(guard.value)}`;
    case "mod":
      return `mod=${guard.revision}`;
    case "absent":
      return "absent";
  }
}

const shortened = (value: string): string =>
  value.length <= 16 ? value : `${value.slice(0, 12)}..(${value.length})`;
