// The wire messages as tests build and read them: protobufjs over src/proto/*.proto, independent of
// the server's own codecs.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import protobuf, { type Type } from "protobufjs";
import { projectRoot } from "./paths.ts";

const root = loadDefinitions();

/** @param name as in etcd's definitions: "PutRequest". @throws for an unknown name. */
export function messageType(name: string): Type {
  return root.lookupType(name);
}

/** Unset fields stay away from the wire, as proto3 wants. 64-bit fields may be decimal strings. */
export function encodeMessage(name: string, fields: object): Uint8Array {
  const type = messageType(name);
  return type.encode(type.fromObject(fields)).finish();
}

/** Plain fields: 64-bit numbers as decimal strings, enum members as numbers, bytes as they are. */
export function decodeMessage(name: string, bytes: Uint8Array): Record<string, unknown> {
  const type = messageType(name);
  return type.toObject(type.decode(bytes), { longs: String, enums: Number });
}

function loadDefinitions(): protobuf.Root {
  const folder = join(projectRoot, "src/proto");
  const definitions = new protobuf.Root();
  definitions.resolvePath = (_origin, target) => join(folder, target);
  const files = readdirSync(folder).filter((name) => name.endsWith(".proto"));
  return definitions.loadSync(files, { keepCase: true });
}
