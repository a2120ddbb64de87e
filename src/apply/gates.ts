// What stands before a command, in etcd's order: a corrupt cluster, the quota, permissions. Each gate
// judges by replicated state alone, so that all members judge alike.
import type { LeaseId } from "../base/brand.ts";
import type { EtcdError } from "../base/errors.ts";
import type { CompactionRequest, DeleteRangeRequest, PutRequest, TxnRequest } from "../proto/kv.ts";
import type { LeaseGrantRequest } from "../proto/lease.ts";

/** A command as it came out of the log. */
export type Command =
  | { readonly kind: "put"; readonly request: PutRequest }
  | { readonly kind: "deleteRange"; readonly request: DeleteRangeRequest }
  | { readonly kind: "txn"; readonly request: TxnRequest }
  | { readonly kind: "compact"; readonly request: CompactionRequest }
  | { readonly kind: "leaseGrant"; readonly request: LeaseGrantRequest }
  /** Keys are the lease's attached ones, for whoever judges by them. */
  | { readonly kind: "leaseRevoke"; readonly id: LeaseId; readonly keys: readonly string[] };

export interface Gate {
  /** Why the command is not executed; undefined lets it pass. */
  refusal(command: Command): EtcdError | undefined;
}

export interface Gates {
  readonly corrupt?: Gate;
  readonly quota?: Gate;
  readonly permission?: Gate;
}

/** The gates that exist, first to last. */
export function orderedGates(gates: Gates): readonly Gate[] {
  return [gates.corrupt, gates.quota, gates.permission].filter((gate) => gate !== undefined);
}

export function firstRefusal(gates: readonly Gate[], command: Command): EtcdError | undefined {
  for (const gate of gates) {
    const error = gate.refusal(command);
    if (error !== undefined) return error;
  }
  return undefined;
}
