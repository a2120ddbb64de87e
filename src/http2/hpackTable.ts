// The static table of RFC 7541, appendix A, and the dynamic table of a decoder.
import { FieldRole, type HeaderField, headerField } from "./headerField.ts";

const staticText = `
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`;

/** Entry `i` has HPACK index `i + 1`. */
export const staticTable: readonly HeaderField[] = staticText
  .trim()
  .split("\n")
  .map((line) => {
    const space = line.indexOf(" ");
    return space < 0
      ? headerField(line, "")
      : headerField(line.slice(0, space), line.slice(space + 1));
  });

/** SETTINGS_HEADER_TABLE_SIZE in both directions: the protocol's initial value. */
export const headerTableBytes = 4096;

const slotCount = 128;
const noField: HeaderField = { name: "", value: "", sizeBytes: 0, role: FieldRole.malformed };

/** Newest entry first. A ring of 128 slots is enough, as an entry counts 32 bytes at least. */
export class DynamicTable {
  readonly #slots: HeaderField[] = new Array<HeaderField>(slotCount).fill(noField);
  #newest = 0;
  #count = 0;
  #bytes = 0;
  #bytesMax = headerTableBytes;

  get count(): number {
    return this.#count;
  }

  /** Bytes as RFC 7541, 4.1 counts them. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @param position from 0, the newest. */
  at(position: number): HeaderField | undefined {
    if (position >= this.#count) return undefined;
    return this.#slots[(this.#newest + position) % slotCount];
  }

  /** An entry larger than the table empties it and is not kept (RFC 7541, 4.4). */
  insert(field: HeaderField): void {
    this.#evictTo(this.#bytesMax - field.sizeBytes);
    if (field.sizeBytes > this.#bytesMax) return;
    this.#newest = (this.#newest + slotCount - 1) % slotCount;
    this.#slots[this.#newest] = field;
    this.#count += 1;
    this.#bytes += field.sizeBytes;
  }

  /** @param bytesMax at most `headerTableBytes`. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#evictTo(bytesMax);
  }

  #evictTo(bytes: number): void {
    while (this.#count > 0 && this.#bytes > bytes) {
      this.#count -= 1;
      const slot = (this.#newest + this.#count) % slotCount;
      this.#bytes -= this.#slots[slot]?.sizeBytes ?? 0;
      this.#slots[slot] = noField;
    }
  }
}
