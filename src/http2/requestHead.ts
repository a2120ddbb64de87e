// The headers of a request as one immutable object; equal lists in a row share it.
import { FieldRole, type HeaderField } from "./headerField.ts";

export class RequestHead {
  readonly #fields: readonly HeaderField[];
  readonly method: string;
  /** Empty when absent (CONNECT only; such a head is malformed here). */
  readonly path: string;
  /** Why RFC 9113, section 8 forbids this request; undefined for a sound one. */
  readonly fault: string | undefined;

  constructor(fields: readonly HeaderField[]) {
    this.#fields = fields;
    this.method = firstOf(fields, FieldRole.method);
    this.path = firstOf(fields, FieldRole.path);
    this.fault = faultOf(fields);
  }

  /** First value of a header or pseudo-header by its lower-case name, one char per byte. */
  get(name: string): string | undefined {
    for (const field of this.#fields) if (field.name === name) return field.value;
    return undefined;
  }

  /** @returns true when built from these very fields. */
  isOf(fields: readonly HeaderField[], count: number): boolean {
    if (this.#fields.length !== count) return false;
    for (let i = 0; i < count; i++) if (this.#fields[i] !== fields[i]) return false;
    return true;
  }
}

/** Trailers carry no pseudo-headers (RFC 9113, 8.1). */
export function trailersFault(fields: readonly HeaderField[], count: number): string | undefined {
  for (let i = 0; i < count; i++) {
    const field = fields[i];
    if (field?.role !== FieldRole.plain) return `forbidden trailer ${field?.name}`;
  }
  return undefined;
}

function firstOf(fields: readonly HeaderField[], role: FieldRole): string {
  for (const field of fields) if (field.role === role) return field.value;
  return "";
}

// RFC 9113, 8.2 and 8.3: sound names and values, pseudo-headers first, each at most once.
function faultOf(fields: readonly HeaderField[]): string | undefined {
  let seen = 0;
  let regular = false;
  for (const { name, role } of fields) {
    if (role === FieldRole.malformed) return `forbidden header ${JSON.stringify(name)}`;
    if (role === FieldRole.plain) {
      regular = true;
      continue;
    }
    if (regular) return `${name} behind a regular header`;
    if (seen & (1 << role)) return `${name} twice`;
    seen |= 1 << role;
  }
  const required = (1 << FieldRole.method) | (1 << FieldRole.scheme) | (1 << FieldRole.path);
  if ((seen & required) !== required) return ":method, :scheme or :path is missing";
  return firstOf(fields, FieldRole.path) === "" ? ":path is empty" : undefined;
}
