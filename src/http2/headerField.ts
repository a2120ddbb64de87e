// One decoded header, judged once when it enters the table and then shared by all blocks that name it.

export const FieldRole = {
  plain: 0,
  method: 1,
  scheme: 2,
  path: 3,
  authority: 4,
  /** Breaks RFC 9113, 8.2 or 8.3, in any request. */
  malformed: 5,
} as const;
export type FieldRole = (typeof FieldRole)[keyof typeof FieldRole];

export interface HeaderField {
  readonly name: string;
  /** One char per byte. */
  readonly value: string;
  /** As HPACK and SETTINGS_MAX_HEADER_LIST_SIZE count: name, value and 32. */
  readonly sizeBytes: number;
  readonly role: FieldRole;
}

const fieldOverheadBytes = 32;
const tokenName = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** RFC 9113, 8.2.1. */
const forbiddenInValue = /[\0\r\n]/;

export function headerField(name: string, value: string): HeaderField {
  const role = forbiddenInValue.test(value) ? FieldRole.malformed : roleOf(name);
  return { name, value, sizeBytes: name.length + value.length + fieldOverheadBytes, role };
}

/** The name was judged before: only the value is new. */
export function headerFieldLike(known: HeaderField, value: string): HeaderField {
  const { name } = known;
  // A known field may owe its fault to its value, so that only a sound one vouches for its name.
  if (known.role === FieldRole.malformed) return headerField(name, value);
  const role = forbiddenInValue.test(value) ? FieldRole.malformed : known.role;
  return { name, value, sizeBytes: name.length + value.length + fieldOverheadBytes, role };
}

function roleOf(name: string): FieldRole {
  switch (name) {
    case ":method":
      return FieldRole.method;
    case ":scheme":
      return FieldRole.scheme;
    case ":path":
      return FieldRole.path;
    case ":authority":
      return FieldRole.authority;
    case "connection":
    case "keep-alive":
    case "proxy-connection":
    case "transfer-encoding":
    case "upgrade":
      return FieldRole.malformed;
    default:
      return tokenName.test(name) ? FieldRole.plain : FieldRole.malformed;
  }
}
