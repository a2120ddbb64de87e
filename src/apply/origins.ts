// The last batch of each member that was applied: replicated state, so that a batch which is proposed
// twice is applied once, on every member alike. One row each in Table.meta:
//
//   key  | "origin/" | member u64 BE |      value  | incarnation u48 BE | sequence u48 BE |
import { MemberId } from "../base/brand.ts";
import { asBuffer } from "../base/bytes.ts";
import { type Engine, Table } from "../storage/engine.ts";
import type { BatchOrigin } from "./command.ts";

const prefix = "origin/";
const afterPrefix = "origin0";
const valueBytes = 12;

export class Origins {
  readonly #last = new Map<MemberId, BatchOrigin>();
  readonly #changed = new Set<MemberId>();

  static load(engine: Engine): Origins {
    const origins = new Origins();
    const range = { table: Table.meta, from: Buffer.from(prefix), to: Buffer.from(afterPrefix) };
    engine.scan(range, (key, value) => {
      const member = MemberId(asBuffer(key).readBigUInt64BE(prefix.length));
      const bytes = asBuffer(value);
      const incarnation = bytes.readUIntBE(0, 6);
      origins.#last.set(member, { member, incarnation, sequence: bytes.readUIntBE(6, 6) });
      return true;
    });
    return origins;
  }

  /** Notes a batch. @returns false when it is not newer than the last one of its origin. */
  advance(origin: BatchOrigin): boolean {
    const last = this.#last.get(origin.member);
    if (last !== undefined && !isNewer(origin, last)) return false;
    this.#last.set(origin.member, origin);
    this.#changed.add(origin.member);
    return true;
  }

  /** Gives each row that changed since the last call; the arrays belong to `stage`. */
  takeChanged(stage: (key: Uint8Array, value: Uint8Array) => void): void {
    for (const member of this.#changed) {
      const origin = this.#last.get(member);
      if (origin === undefined) continue;
      const key = Buffer.alloc(prefix.length + 8);
      key.write(prefix, "latin1");
      key.writeBigUInt64BE(member, prefix.length);
      const value = Buffer.alloc(valueBytes);
      value.writeUIntBE(origin.incarnation, 0, 6);
      value.writeUIntBE(origin.sequence, 6, 6);
      stage(key, value);
    }
    this.#changed.clear();
  }
}

function isNewer(origin: BatchOrigin, last: BatchOrigin): boolean {
  if (origin.incarnation !== last.incarnation) return origin.incarnation > last.incarnation;
  return origin.sequence > last.sequence;
}
