// Random KV requests from one seed: few keys, so that they meet; every field, so that none is forgotten.
import { Prng } from "../../src/base/prng.ts";
import { decodeMessage, encodeMessage } from "./messages.ts";

export type KvMethod = "Range" | "Put" | "DeleteRange" | "Txn" | "Compact";

export interface KvRequest {
  readonly method: KvMethod;
  /** As sent to each server. */
  readonly bytes: Uint8Array;
  /** What the bytes mean, decoded again. */
  readonly message: Record<string, unknown>;
}

/** What the requests shall aim at. */
export interface Aim {
  readonly revision: number;
  /** -1: never compacted. */
  readonly compacted: number;
}

export const requestTypeOf: Readonly<Record<KvMethod, string>> = {
  Range: "RangeRequest",
  Put: "PutRequest",
  DeleteRange: "DeleteRangeRequest",
  Txn: "TxnRequest",
  Compact: "CompactionRequest",
};

type Fields = Record<string, unknown>;
type Int64 = number | string;

const int64Max = "9223372036854775807";
const int64Min = "-9223372036854775808";
const txnDepthMax = 3;
/** One more than a txn may hold. */
const tooManyOps = 129;

/** Neighbours, prefixes, the ends of the key space, and two too long for a small index key. */
const keys: readonly Buffer[] = [
  ...["a", "b", "c", "d", "e", "f", "aa", "ab", "b\0", "b\0\0", "z", "\0", "\xff", "\xff\xff"],
  ..."ghijklmnop",
  "k".repeat(600),
  `${"k".repeat(600)}x`,
].map((text) => Buffer.from(text, "latin1"));

/** Keys still free in a txn that means to avoid duplicates; undefined: it does not care. */
type FreeKeys = Buffer[] | undefined;

export class KvGenerator {
  readonly #random: Prng;
  readonly #leases: readonly string[];
  #aim: Aim = { revision: 1, compacted: -1 };
  /**
   * Never both in one txn: etcd overlooks that a delete up to the end of all keys covers a put of
   * the same txn, and panics when that put then finds no value to keep.
   */
  #mood: "ignore flags" | "deletes to the end" = "ignore flags";

  /** @param leases ids that are granted on both sides. */
  constructor(seed: number, leases: readonly string[] = []) {
    this.#random = new Prng(seed);
    this.#leases = leases;
  }

  next(aim: Aim): KvRequest {
    this.#aim = aim;
    const method = this.#weighted<KvMethod>([
      [36, "Put"],
      [26, "Range"],
      [9, "DeleteRange"],
      [27, "Txn"],
      [2, "Compact"],
    ]);
    this.#mood = method !== "Txn" || this.#odds(1, 2) ? "ignore flags" : "deletes to the end";
    const type = requestTypeOf[method];
    const bytes = this.#mangle(type, () => encodeMessage(type, this.#fields(method)));
    return { method, bytes, message: decodeMessage(type, bytes) };
  }

  #fields(method: KvMethod): Fields {
    switch (method) {
      case "Put":
        return this.#put(undefined);
      case "Range":
        return this.#range();
      case "DeleteRange":
        return this.#deleteRange(undefined, false);
      case "Txn":
        return this.#txn(txnDepthMax, this.#odds(3, 4) ? this.#shuffledKeys() : undefined);
      case "Compact":
        return this.#compaction();
    }
  }

  /** Legal oddities of the encoding: unknown fields, and a message written in two halves. */
  #mangle(type: string, make: () => Uint8Array): Uint8Array {
    const bytes = make();
    if (this.#random.oneIn(40)) return Buffer.concat([bytes, unknownFields]);
    if (this.#random.oneIn(60) && type !== "TxnRequest") return Buffer.concat([bytes, make()]);
    return bytes;
  }

  #put(free: FreeKeys): Fields {
    const fields: Fields = { key: this.#key(free) };
    const mayIgnore = this.#mood === "ignore flags";
    if (mayIgnore && this.#random.oneIn(12)) {
      fields.ignore_value = true;
      if (this.#random.oneIn(6)) fields.value = this.#value();
    } else {
      fields.value = this.#value();
    }
    if (mayIgnore && this.#random.oneIn(12)) fields.ignore_lease = true;
    if (this.#random.oneIn(fields.ignore_lease ? 6 : 10)) fields.lease = this.#lease();
    if (this.#random.oneIn(3)) fields.prev_kv = true;
    return fields;
  }

  #range(): Fields {
    const key = this.#key(undefined);
    const fields: Fields = { key, range_end: this.#rangeEnd(key) };
    if (this.#random.oneIn(3)) fields.limit = this.#limit();
    if (this.#random.oneIn(3)) fields.revision = this.#revision();
    if (this.#random.oneIn(3)) {
      fields.sort_order = this.#random.integer(3);
      fields.sort_target = this.#random.integer(5);
    }
    for (const flag of ["serializable", "keys_only"]) {
      if (this.#random.oneIn(6)) fields[flag] = true;
    }
    if (this.#random.oneIn(10)) fields.count_only = true;
    for (const filter of revisionFilters) {
      if (this.#random.oneIn(10)) fields[filter] = this.#revision();
    }
    return fields;
  }

  #deleteRange(free: FreeKeys, inTxn: boolean): Fields {
    const key = this.#key(free);
    const prev_kv = this.#random.oneIn(2);
    if (free || this.#odds(1, 2)) return { key, prev_kv };
    const end = this.#rangeEnd(key);
    const tooFar = inTxn && this.#mood === "ignore flags" && end.equals(keySpaceEnd);
    return { key, range_end: tooFar ? undefined : end, prev_kv };
  }

  #compaction(): Fields {
    const { revision, compacted } = this.#aim;
    const floor = Math.max(compacted, 0);
    const aims: readonly (readonly [number, Int64])[] = [
      // Mostly near the start of what is left, so that history remains to be read.
      [8, floor + 1 + this.#random.integer(Math.max(1, Math.ceil((revision - floor) / 3)))],
      [2, compacted],
      [1, revision + 1 + this.#random.integer(3)],
      [1, revision],
      [1, 0],
      [1, -1],
      [1, int64Max],
    ];
    return { revision: this.#weighted(aims), physical: this.#random.oneIn(3) };
  }

  #txn(depth: number, free: FreeKeys): Fields {
    const count = this.#random.oneIn(150) ? tooManyOps : 0;
    return {
      compare: this.#list(count || this.#random.integer(4), () => this.#compare()),
      success: this.#list(this.#random.integer(5), () => this.#op(depth, free)),
      failure: this.#list(this.#random.integer(5), () => this.#op(depth, free)),
    };
  }

  #op(depth: number, free: FreeKeys): Fields {
    const kind = this.#weighted([
      [40, "put"],
      [30, "range"],
      [15, "deleteRange"],
      [depth > 1 ? 12 : 0, "txn"],
      [this.#random.oneIn(20) ? 10 : 0, "none"],
    ]);
    switch (kind) {
      case "put":
        return { request_put: this.#put(free) };
      case "range":
        return { request_range: this.#range() };
      case "deleteRange":
        return { request_delete_range: this.#deleteRange(free, true) };
      case "txn":
        return { request_txn: this.#txn(depth - 1, free) };
      default:
        return {};
    }
  }

  #compare(): Fields {
    const key = this.#key(undefined);
    const target = this.#random.integer(this.#random.oneIn(30) ? 8 : 5);
    const fields: Fields = {
      result: this.#random.integer(this.#random.oneIn(30) ? 7 : 4),
      target,
      key,
    };
    if (this.#random.oneIn(4)) fields.range_end = this.#rangeEnd(key);
    // Now and then the operand of another target, or none at all.
    const operand = this.#random.oneIn(20) ? this.#random.integer(6) : target;
    if (operand === 0) fields.version = this.#small();
    if (operand === 1) fields.create_revision = this.#revision();
    if (operand === 2) fields.mod_revision = this.#revision();
    if (operand === 3) fields.value = this.#value();
    if (operand === 4) fields.lease = this.#lease();
    return fields;
  }

  #key(free: FreeKeys): Buffer {
    if (this.#random.oneIn(200)) return Buffer.alloc(0);
    return free?.pop() ?? this.#pick(keys);
  }

  #shuffledKeys(): Buffer[] {
    const shuffled = [...keys];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = this.#random.integer(i + 1);
      [shuffled[i], shuffled[j]] = [shuffled[j] ?? Buffer.alloc(0), shuffled[i] ?? Buffer.alloc(0)];
    }
    return shuffled;
  }

  #rangeEnd(key: Buffer): Buffer {
    return this.#weighted<Buffer>([
      [4, Buffer.alloc(0)],
      [3, keySpaceEnd],
      [3, prefixEnd(key)],
      [3, this.#pick(keys)],
      [1, key],
      [1, Buffer.concat([key, Buffer.from([0])])],
    ]);
  }

  #value(): Buffer {
    const length = this.#weighted([
      [1, 0],
      [6, 1],
      [2, 1 + this.#random.integer(20)],
      [this.#random.oneIn(50) ? 4 : 0, 20_000],
    ]);
    if (length === 1) return Buffer.from(`${this.#random.integer(10)}`);
    return Buffer.from(Array.from({ length }, () => this.#random.integer(256)));
  }

  #lease(): Int64 {
    const unknown = [0, 0, 404, -5, int64Max, int64Min];
    return this.#pick<Int64>(this.#odds(2, 3) ? [0, ...this.#leases] : unknown);
  }

  #limit(): Int64 {
    return this.#odds(4, 5) ? this.#random.integer(6) : this.#pick<Int64>([-1, int64Max, int64Min]);
  }

  #small(): Int64 {
    return this.#odds(9, 10)
      ? this.#random.integer(4)
      : this.#pick<Int64>([-1, int64Max, int64Min]);
  }

  #revision(): Int64 {
    const { revision, compacted } = this.#aim;
    return this.#weighted<Int64>([
      [3, 0],
      [12, Math.max(1, revision - this.#random.integer(30))],
      [4, 1 + this.#random.integer(revision)],
      [2, revision],
      [1, revision + 1],
      [1, revision + 5],
      [2, compacted],
      [1, compacted - 1],
      [1, compacted + 1],
      [1, this.#pick([-1, int64Max, int64Min])],
    ]);
  }

  #list(length: number, make: () => Fields): readonly Fields[] {
    return Array.from({ length }, make);
  }

  #odds(hits: number, of: number): boolean {
    return this.#random.integer(of) < hits;
  }

  #pick<T>(from: readonly T[]): T {
    const picked = from[this.#random.integer(from.length)];
    if (picked === undefined) throw new Error("nothing to pick from");
    return picked;
  }

  #weighted<T>(choices: readonly (readonly [weight: number, choice: T])[]): T {
    const total = choices.reduce((sum, [weight]) => sum + weight, 0);
    let at = this.#random.integer(total);
    for (const [weight, choice] of choices) {
      if (at < weight) return choice;
      at -= weight;
    }
    throw new Error("weights changed while they were read");
  }
}

/** As a range end: everything from the key on. */
const keySpaceEnd = Buffer.from([0]);

const revisionFilters = [
  "min_mod_revision",
  "max_mod_revision",
  "min_create_revision",
  "max_create_revision",
] as const;

/** Field 1000 of each wire type: varint, 8 bytes, length-delimited, 4 bytes. */
const unknownFields = Buffer.from("c03e01c13e0000000000000000c23e03616263c53e00000000", "hex");

/** The first key behind all that begin with `key`. */
function prefixEnd(key: Buffer): Buffer {
  const end = Buffer.from(key);
  for (let i = end.length - 1; i >= 0; i--) {
    const byte = end[i] ?? 0;
    if (byte < 0xff) {
      end[i] = byte + 1;
      return end.subarray(0, i + 1);
    }
  }
  return keySpaceEnd;
}
