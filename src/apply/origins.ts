// The last batch of each member that was applied: replicated state, so that a batch which is proposed
// twice is applied once, on every member alike. So it is with changes of membership. One row each in
// Table.meta, the kind being "origin" or "change":
//
//   key  | kind | "/" | member u64 BE |      value  | incarnation u48 BE | sequence u48 BE |
import { MemberId } from "../base/brand.ts";
import { asBuffer } from "../base/bytes.ts";
import { type Engine, Table } from "../storage/engine.ts";
import type { BatchOrigin } from "./command.ts";

const valueBytes = 12;

/** Of batches, or of changes of membership. */
export type OriginKind = "origin" | "change";

export class Origins {
  readonly #last = new Map<MemberId, BatchOrigin>();
  readonly #changed = new Set<MemberId>();
  readonly #prefix: string;

  private constructor(kind: OriginKind) {
    this.#prefix = `${kind}/`;
  }

  static load(engine: Engine, kind: OriginKind): Origins {
    const origins = new Origins(kind);
    const prefix = origins.#prefix;
    // "0" follows "/".
    const range = { table: Table.meta, from: Buffer.from(prefix), to: Buffer.from(`${kind}0`) };
    engine.scan(range, (key, value) => {
      const member = MemberId(asBuffer(key).readBigUInt64BE(prefix.length));
      const bytes = asBuffer(value);
      const incarnation = bytes.readUIntBE(0, 6);
      origins.#last.set(member, { member, incarnation, sequence: bytes.readUIntBE(6, 6) });
      return true;
    });
    return origins;
  }

  last(member: MemberId): BatchOrigin | undefined {
    return this.#last.get(member);
  }

  /** Notes a batch. @returns false when it is not newer than the last one of its origin. */
  advance(origin: BatchOrigin): boolean {
    const last = this.#last.get(origin.member);
    if (last !== undefined && !isNewer(origin, last)) return false;
    this.#last.set(origin.member, origin);
    this.#changed.add(origin.member);
    return true;
  }

  /** Its member is gone for good, and with it the row. */
  forget(member: MemberId, unstage: (key: Uint8Array) => void): void {
    this.#changed.delete(member);
    if (this.#last.delete(member)) unstage(this.#keyOf(member));
  }

  /** Gives each row that changed since the last call; the arrays belong to `stage`. */
  takeChanged(stage: (key: Uint8Array, value: Uint8Array) => void): void {
    for (const member of this.#changed) {
      const origin = this.#last.get(member);
      if (origin === undefined) continue;
      const value = Buffer.alloc(valueBytes);
      value.writeUIntBE(origin.incarnation, 0, 6);
      value.writeUIntBE(origin.sequence, 6, 6);
      stage(this.#keyOf(member), value);
    }
    this.#changed.clear();
  }

  #keyOf(member: MemberId): Uint8Array {
    const key = Buffer.alloc(this.#prefix.length + 8);
    key.write(this.#prefix, "latin1");
    key.writeBigUInt64BE(member, this.#prefix.length);
    return key;
  }
}

/** Is `origin` of a later life, or later in the same one? */
export function isNewer(origin: BatchOrigin, last: BatchOrigin): boolean {
  if (origin.incarnation !== last.incarnation) return origin.incarnation > last.incarnation;
  return origin.sequence > last.sequence;
}
