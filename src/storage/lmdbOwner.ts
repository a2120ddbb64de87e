// Whose store it is: one row in a table of its own, which no pin shows and no image brings.

import { Table } from "./engine.ts";
import { EngineFault } from "./engineFault.ts";
import { framedBytes, RowFramer, unframeValue } from "./lmdbRows.ts";
import type { Env } from "./nodeLmdb.ts";
import { ownerTableName } from "./tables.ts";

export interface StoreOwner {
  readonly clusterId: bigint;
  readonly memberId: bigint;
}

const key = Buffer.from("owner", "latin1");

/**
 * Signs a store that nobody has signed.
 *
 * @throws {EngineFault} foreign.
 */
export function checkOwner(env: Env, owner: StoreOwner): void {
  const table = env.openDbi({ name: ownerTableName, create: true, keyIsBuffer: true });
  const txn = env.beginTxn();
  try {
    const signed = txn.getBinary(table, key);
    if (signed === null) txn.putBinary(table, key, frameOf(owner), { keyIsBuffer: true });
    else compare(Buffer.from(unframeValue(Table.meta, key, signed)), owner);
  } catch (error) {
    txn.abort();
    throw error;
  }
  txn.commit();
}

function frameOf({ clusterId, memberId }: StoreOwner): Buffer {
  const value = Buffer.alloc(16);
  value.writeBigUInt64LE(clusterId);
  value.writeBigUInt64LE(memberId, 8);
  const framer = new RowFramer();
  framer.start(framedBytes({ puts: [{ table: Table.meta, key, value }], deletes: [] }));
  return Buffer.from(framer.frame({ key, value }));
}

function compare(signed: Buffer, { clusterId, memberId }: StoreOwner): void {
  const [cluster, member] = [signed.readBigUInt64LE(), signed.readBigUInt64LE(8)];
  if (cluster !== clusterId) {
    throw new EngineFault({ kind: "foreignCluster", found: cluster, want: clusterId });
  }
  if (member !== memberId) {
    throw new EngineFault({ kind: "foreignMember", found: member, want: memberId });
  }
}
