// Names of the tables in LMDB, and the frame around each row there.
//
//   LMDB key: the engine's key, 1 to 511 bytes
//   LMDB value:
//    0 u32 CRC32C of everything behind it, little-endian
//    4 u16 length of the key, little-endian
//    6 key, once more
//      value
//
// The key is repeated for two reasons: a row that ends up under another key is found out, and a scan
// reads one buffer per row instead of three (bench/micro/engine.ts).
import type { Table } from "./engine.ts";

/**
 * By table number. The names are on disk: never change or reuse one. All are made with a store: one that
 * holds rows and lacks a table is damaged (lmdbCheck.ts).
 */
export const tableNames: { readonly [T in Table]: string } = {
  0: "meta",
  1: "key",
  2: "lease",
  3: "members",
  4: "alarm",
  5: "auth",
};

/** Whose store it is (lmdbOwner.ts); made behind all others. */
export const ownerTableName = "owner";

export const rowHeadBytes = 6;
