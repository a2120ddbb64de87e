// Forms of messages that deepEqual can compare, and ways to spoil encoded ones.
import protobuf, { type Type } from "protobufjs";

/** Bytes as hex, whatever their class; everything else as it is. */
export function comparable(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(comparable);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [name, comparable(field)]),
  );
}

// Fields 1000 to 1003, one of each wire type; known to no message.
const unknownFields = [
  [0xc0, 0x3e, 0xff, 0xff, 0x03],
  [0xc9, 0x3e, 1, 2, 3, 4, 5, 6, 7, 8],
  [0xd2, 0x3e, 3, 0x0a, 0x7f, 0x12],
  [0xdd, 0x3e, 9, 9, 9, 9],
].map((field) => Uint8Array.from(field));

/**
 * The same message with unknown fields before, between and behind its own, at every level.
 *
 * @param pick gives an integer in [0, below).
 */
export function withUnknownFields(
  type: Type,
  message: Uint8Array,
  pick: (below: number) => number,
): Uint8Array {
  const reader = protobuf.Reader.create(message);
  const parts: Uint8Array[] = [unknown(pick)];
  while (reader.pos < reader.len) {
    const from = reader.pos;
    const tag = reader.uint32();
    const nested = type.fieldsById[tag >>> 3]?.resolve().resolvedType;
    if (nested instanceof protobuf.Type) {
      const inner = withUnknownFields(nested, reader.bytes(), pick);
      parts.push(protobuf.Writer.create().uint32(tag).bytes(inner).finish());
    } else {
      reader.skipType(tag & 7);
      parts.push(message.subarray(from, reader.pos));
    }
    parts.push(unknown(pick));
  }
  return Buffer.concat(parts);
}

function unknown(pick: (below: number) => number): Uint8Array {
  return unknownFields[pick(unknownFields.length + 1)] ?? new Uint8Array(0);
}
