// Requests as text for the log, in the form that etcd's log has: what is asked for, never a value. A text
// has a bound, however many keys a request names.
import { noLease } from "../base/brand.ts";
import type {
  CompactionRequest,
  Compare,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from "./kv.ts";
import type { LeaseGrantRequest, LeaseIdRequest } from "./lease.ts";

/** Characters of a text; what is more is left out, and the text says so. */
export const requestTextMax = 1_024;
/** Bytes of one key. */
const keyBytesMax = 256;

export const rangeText = (request: RangeRequest): string =>
  textOf((text) => writeRange(text, request));
export const txnText = (request: TxnRequest): string => textOf((text) => writeTxn(text, request));
export const putText = (request: PutRequest): string =>
  textOf((text) => text.within("put", () => writePut(text, request)));
export const deleteRangeText = (request: DeleteRangeRequest): string =>
  textOf((text) => text.within("delete_range", () => writeDeleteRange(text, request)));
export const changingTxnText = (request: TxnRequest): string =>
  textOf((text) => text.within("txn", () => writeTxn(text, request)));
export const compactionText = ({ revision, physical }: CompactionRequest): string =>
  `compaction:<revision:${revision} physical:${physical}>`;
export const leaseGrantText = ({ id, ttlSec }: LeaseGrantRequest): string =>
  `lease_grant:<ttl:${ttlSec}-second id:${hex(id)}>`;
export const leaseRevokeText = ({ id }: LeaseIdRequest): string => `lease_revoke:<id:${hex(id)}>`;

const orders = ["NONE", "ASCEND", "DESCEND"];
const sortTargets = ["KEY", "VERSION", "CREATE", "MOD", "VALUE"];
const results = ["EQUAL", "GREATER", "LESS", "NOT_EQUAL"];
const compareTargets = ["VERSION", "CREATE", "MOD", "VALUE", "LEASE"];

/** Fields that are at their default are not written. */
class RequestText {
  #text = "";

  get isFull(): boolean {
    return this.#text.length >= requestTextMax;
  }

  key(name: string, bytes: Uint8Array): void {
    if (bytes.length > 0 && !this.isFull) this.#add(`${name}:${quoted(bytes)}`);
  }

  number(name: string, value: number | bigint): void {
    if (BigInt(value) !== 0n) this.#add(`${name}:${value}`);
  }

  flag(name: string, isSet: boolean): void {
    if (isSet) this.#add(`${name}:true`);
  }

  /** The name of a number; the first is the default. A number without one stays as it is. */
  choice(name: string, names: readonly string[], value: number): void {
    if (value !== 0) this.#add(`${name}:${names[value] ?? value}`);
  }

  within(name: string, write: () => void): void {
    this.#add(`${name}:<`);
    write();
    this.#text += ">";
  }

  take(): string {
    const text = this.#text;
    return text.length > requestTextMax ? `${text.slice(0, requestTextMax)}...` : text;
  }

  #add(part: string): void {
    if (this.isFull) return;
    this.#text += this.#text === "" || this.#text.endsWith("<") ? part : ` ${part}`;
  }
}

function textOf(write: (text: RequestText) => void): string {
  const text = new RequestText();
  write(text);
  return text.take();
}

function writeRange(text: RequestText, request: RangeRequest): void {
  text.key("key", request.key);
  text.key("range_end", request.rangeEnd);
  text.number("limit", request.limit);
  text.number("revision", request.revision);
  text.choice("sort_order", orders, request.sortOrder);
  text.choice("sort_target", sortTargets, request.sortTarget);
  text.flag("serializable", request.serializable);
  text.flag("keys_only", request.keysOnly);
  text.flag("count_only", request.countOnly);
  text.number("min_mod_revision", request.minModRevision);
  text.number("max_mod_revision", request.maxModRevision);
  text.number("min_create_revision", request.minCreateRevision);
  text.number("max_create_revision", request.maxCreateRevision);
}

function writePut(text: RequestText, request: PutRequest): void {
  text.key("key", request.key);
  text.number("value_size", request.value.length);
  if (request.lease !== noLease) text.number("lease", request.lease);
  text.flag("prev_kv", request.prevKv);
  text.flag("ignore_value", request.ignoreValue);
  text.flag("ignore_lease", request.ignoreLease);
}

function writeDeleteRange(text: RequestText, request: DeleteRangeRequest): void {
  text.key("key", request.key);
  text.key("range_end", request.rangeEnd);
  text.flag("prev_kv", request.prevKv);
}

function writeTxn(text: RequestText, request: TxnRequest): void {
  text.within("compare", () => {
    for (const compare of request.compare) {
      if (text.isFull) break;
      writeCompare(text, compare);
    }
  });
  text.within("success", () => writeOps(text, request.success));
  text.within("failure", () => writeOps(text, request.failure));
}

function writeCompare(text: RequestText, compare: Compare): void {
  const { operand } = compare;
  text.choice("result", results, compare.result);
  text.choice("target", compareTargets, compare.target);
  text.key("key", compare.key);
  if (operand?.kind === "value") text.number("value_size", operand.value.length);
  else if (operand !== undefined) text.number(operandNames[operand.kind], operand.value);
  text.key("range_end", compare.rangeEnd);
}

const operandNames = {
  version: "version",
  create: "create_revision",
  mod: "mod_revision",
  lease: "lease",
} as const;

function writeOps(text: RequestText, ops: readonly RequestOp[]): void {
  for (const op of ops) {
    if (text.isFull) return;
    writeOp(text, op);
  }
}

function writeOp(text: RequestText, op: RequestOp): void {
  if (op.kind === "none") return;
  text.within(opNames[op.kind], () => {
    if (op.kind === "range") writeRange(text, op.request);
    else if (op.kind === "put") writePut(text, op.request);
    else if (op.kind === "deleteRange") writeDeleteRange(text, op.request);
    else writeTxn(text, op.request);
  });
}

const opNames = {
  range: "request_range",
  put: "request_put",
  deleteRange: "request_delete_range",
  txn: "request_txn",
} as const;

const hex = (id: bigint): string => id.toString(16).padStart(16, "0");

/** As protobuf's text form writes bytes: what is not printable ASCII as three octal digits. */
function quoted(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes.subarray(0, keyBytesMax)) {
    const plain = plainEscapes.get(byte);
    if (plain !== undefined) text += plain;
    else if (byte >= 0x20 && byte < 0x7f) text += String.fromCharCode(byte);
    else text += `\\${byte.toString(8).padStart(3, "0")}`;
  }
  return bytes.length > keyBytesMax ? `"${text}"...` : `"${text}"`;
}

const plainEscapes: ReadonlyMap<number, string> = new Map([
  [0x0a, "\\n"],
  [0x0d, "\\r"],
  [0x09, "\\t"],
  [0x22, '\\"'],
  [0x5c, "\\\\"],
]);
