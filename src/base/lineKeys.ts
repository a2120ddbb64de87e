// The keys of a line before a lock or an election, in etcd's layout: name/lease in hexadecimal. Clients and
// the server's own services stand in the same line.
import type { LeaseId } from "./brand.ts";
import { joinBytes, utf8Bytes } from "./bytes.ts";

const slash = utf8Bytes("/");
/** The byte after the slash. */
const afterSlash = utf8Bytes("0");

/** name + "/": all who stand in line. */
export function linePrefix(name: Uint8Array): Uint8Array {
  return joinBytes([name, slash]);
}

/** First key after all that begin with `linePrefix(name)`. */
export function lineEnd(name: Uint8Array): Uint8Array {
  return joinBytes([name, afterSlash]);
}

/** A negative lease has its sign before the digits, as Go prints it. */
export function placeKey(name: Uint8Array, lease: LeaseId): Uint8Array {
  return joinBytes([linePrefix(name), utf8Bytes(lease.toString(16))]);
}
