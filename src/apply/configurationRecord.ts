// The memberships that the state machine has seen, one row in Table.meta:
//
//   | version u8 = 1 | count u8 | configurations, ascending |
//   configuration: | index u48 | voters, outgoing, learners: count u8, ids u64 each |    big endian
import { assert } from "../base/assert.ts";
import { LogIndex, MemberId } from "../base/brand.ts";
import { asBuffer } from "../base/bytes.ts";
import type { Configuration } from "../raft/types.ts";

export const configurationsKey: Uint8Array = Buffer.from("membership", "latin1");

const version = 1;

export function encodeConfigurations(configurations: readonly Configuration[]): Uint8Array {
  const parts: Uint8Array[] = [Buffer.of(version, configurations.length)];
  for (const { index, membership } of configurations) {
    const { voters, outgoing, learners } = membership;
    const head = Buffer.alloc(6);
    head.writeUIntBE(index, 0, 6);
    parts.push(head, ...[voters, outgoing, learners].map(encodeIds));
  }
  return Buffer.concat(parts);
}

function encodeIds(ids: readonly MemberId[]): Buffer {
  const bytes = Buffer.alloc(1 + 8 * ids.length);
  bytes[0] = ids.length;
  ids.forEach((id, i) => {
    bytes.writeBigUInt64BE(id, 1 + 8 * i);
  });
  return bytes;
}

/** @throws {Mistake} for a row of another format. */
export function decodeConfigurations(row: Uint8Array): readonly Configuration[] {
  assert(row[0] === version, `unknown format ${row[0]} of memberships`);
  const bytes = asBuffer(row);
  let offset = 2;
  const readIds = (): MemberId[] => {
    const count = bytes.readUInt8(offset);
    const ids = Array.from({ length: count }, (_, i) =>
      MemberId(bytes.readBigUInt64BE(offset + 1 + 8 * i)),
    );
    offset += 1 + 8 * count;
    return ids;
  };
  return Array.from({ length: bytes.readUInt8(1) }, () => {
    const index = LogIndex(bytes.readUIntBE(offset, 6));
    offset += 6;
    const [voters, outgoing, learners] = [readIds(), readIds(), readIds()];
    return { index, membership: { voters, outgoing, learners } };
  });
}
