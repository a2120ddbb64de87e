// Many keys of 256 bytes in little time: a hundred puts in a transaction.
import { encodeTxnRequest } from "../../src/proto/encodeRequests.ts";
import type { RangeRequest, RequestOp } from "../../src/proto/kv.ts";
import { Writer } from "../../src/proto/writer.ts";
import type { Caller } from "../load/caller.ts";
import { callAll, putOf } from "./callers.ts";

const putsPerTxn = 100;

/** `puts` over keys 0 to `keys`, in order, from the first again after the last. */
export async function fillKeys(
  callers: readonly Caller[],
  { puts, keys }: { readonly puts: number; readonly keys: number },
): Promise<void> {
  const writer = new Writer();
  const messageOf = (i: number): Uint8Array => {
    const first = i * putsPerTxn;
    // No key twice in a transaction.
    const length = Math.min(putsPerTxn, puts - first, keys);
    const success = Array.from(
      { length },
      (_, n): RequestOp => ({ kind: "put", request: putOf((first + n) % keys) }),
    );
    return encodeTxnRequest(writer, { compare: [], success, failure: [] });
  };
  const count = Math.ceil(puts / putsPerTxn);
  await callAll(callers, { path: "/etcdserverpb.KV/Txn", count, messageOf });
}

/** A linearizable read of key `i`. */
export const readOf = (i: number): RangeRequest => ({
  ...{ key: putOf(i).key, rangeEnd: Buffer.alloc(0), limit: 0, revision: 0, sortOrder: 0 },
  ...{ sortTarget: 0, serializable: false, keysOnly: false, countOnly: false },
  ...{ minModRevision: 0, maxModRevision: 0, minCreateRevision: 0, maxCreateRevision: 0 },
});
