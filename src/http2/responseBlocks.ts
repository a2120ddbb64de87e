// HPACK encoder for answers. Two fields that every answer repeats (one header, one trailer) enter
// the peer's dynamic table once and then cost a byte each; nothing else is ever inserted.
import { headerTableBytes, staticTable } from "./hpackTable.ts";

export type FieldPair = readonly [name: string, value: string];

/** Fields as literals that no table keeps; the same bytes serve on every connection. */
export function literalFields(fields: readonly FieldPair[]): Buffer {
  return Buffer.concat(fields.map(([name, value]) => literal(name, value, 0x00, 4)));
}

/** The two repeated fields, encoded in each way they may be sent. Shared by all connections. */
export class UsualFields {
  readonly header: FieldForms;
  readonly trailer: FieldForms;

  constructor(fields: { readonly header: FieldPair; readonly trailer: FieldPair }) {
    this.header = fieldForms(fields.header);
    this.trailer = fieldForms(fields.trailer);
  }

  /** Table space that both need (RFC 7541, 4.1). */
  get tableBytes(): number {
    return this.header.tableBytes + this.trailer.tableBytes;
  }
}

interface FieldForms {
  readonly literal: Buffer;
  readonly inserting: Buffer;
  readonly tableBytes: number;
}

function fieldForms([name, value]: FieldPair): FieldForms {
  return {
    literal: literal(name, value, 0x00, 4),
    inserting: literal(name, value, 0x40, 6),
    tableBytes: name.length + value.length + 32,
  };
}

const statusOk = 0x88;
const newestIndex = Buffer.from([0x80 | (staticTable.length + 1)]);
const secondIndex = Buffer.from([0x80 | (staticTable.length + 2)]);
const statusOkBlock = Buffer.from([statusOk]);
const nothing = Buffer.alloc(0);

/** Encoder state of one connection. Blocks must be sent in the order in which they were made. */
export class ResponseBlocks {
  readonly #usual: UsualFields;
  #tableBytes = headerTableBytes;
  #useTable = true;
  #headerKept = false;
  #trailerKept = false;
  #update: Buffer = nothing;
  // A head in the state that lasts for the whole life of most connections.
  readonly #settledHead = Buffer.concat([statusOkBlock, secondIndex]);

  constructor(usual: UsualFields) {
    this.#usual = usual;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE, in force from the next block. */
  onTableSize(bytes: number): void {
    // Only a smaller table must be acknowledged in the next block (RFC 7541, 4.2); growth is no use.
    if (bytes >= this.#tableBytes) return;
    this.#tableBytes = bytes;
    // A table too small for both fields is given up for good: simple, and no known peer does this.
    if (bytes < this.#usual.tableBytes) this.#useTable = false;
    this.#update = integer(this.#useTable ? bytes : 0, 0x20, 5);
  }

  /** `:status 200` and the usual header. */
  head(): Uint8Array {
    const settled = this.#trailerKept && this.#useTable && this.#update.length === 0;
    if (settled) return this.#settledHead;
    return Buffer.concat([this.#takeUpdate(), statusOkBlock, this.#header()]);
  }

  /** Head and trailers in one: `status`, the usual header, then `fields` from `literalFields`. */
  headWith(status: number, fields: Uint8Array): Uint8Array {
    const statusBlock = status === 200 ? statusOkBlock : literal(":status", `${status}`, 0x00, 4);
    return Buffer.concat([this.#takeUpdate(), statusBlock, this.#header(), fields]);
  }

  /** The usual trailer alone. */
  trailers(): Uint8Array {
    if (!this.#useTable) return this.trailersWith(this.#usual.trailer.literal);
    if (this.#trailerKept) return this.trailersWith(newestIndex);
    this.#trailerKept = true;
    return this.trailersWith(this.#usual.trailer.inserting);
  }

  /** Trailers from `literalFields`. */
  trailersWith(fields: Uint8Array): Uint8Array {
    return this.#update.length === 0 ? fields : Buffer.concat([this.#takeUpdate(), fields]);
  }

  #header(): Uint8Array {
    if (!this.#useTable) return this.#usual.header.literal;
    if (this.#headerKept) return this.#trailerKept ? secondIndex : newestIndex;
    this.#headerKept = true;
    return this.#usual.header.inserting;
  }

  #takeUpdate(): Buffer {
    const update = this.#update;
    this.#update = nothing;
    return update;
  }
}

// A literal field (RFC 7541, 6.2) with strings as they are.
function literal(name: string, value: string, mark: number, prefixBits: number): Buffer {
  const known = staticTable.findIndex((field) => field.name === name) + 1;
  const parts = [integer(known, mark, prefixBits)];
  if (known === 0) parts.push(text(name));
  parts.push(text(value));
  return Buffer.concat(parts);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  return Buffer.concat([integer(bytes.length, 0, 7), bytes]);
}

function integer(value: number, mark: number, prefixBits: number): Buffer {
  const prefixMax = (1 << prefixBits) - 1;
  if (value < prefixMax) return Buffer.from([mark | value]);
  const bytes = [mark | prefixMax];
  let rest = value - prefixMax;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  bytes.push(rest);
  return Buffer.from(bytes);
}
