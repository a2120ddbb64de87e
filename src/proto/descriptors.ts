// What the definitions say about messages, enums and methods, read from the encoded descriptors at
// the first question. For the doors that must know field names: JSON and reflection.
import { unreachable } from "../base/assert.ts";
import { encodedFiles } from "./generatedDescriptors.ts";
import { Reader } from "./reader.ts";

/** FieldDescriptorProto.Type, as far as etcd's definitions use it. */
export const FieldKind = {
  int64: 3,
  uint64: 4,
  int32: 5,
  bool: 8,
  string: 9,
  message: 11,
  bytes: 12,
  uint32: 13,
  enumeration: 14,
} as const;
export type FieldKind = (typeof FieldKind)[keyof typeof FieldKind];

export interface EnumDescriptor {
  readonly names: ReadonlyMap<number, string>;
  readonly numbers: ReadonlyMap<string, number>;
}

export interface FieldDescriptor {
  /** As in the definition: "range_end". */
  readonly name: string;
  /** "rangeEnd". */
  readonly jsonName: string;
  readonly number: number;
  readonly kind: FieldKind;
  readonly repeated: boolean;
  /** Full name of the group of which one field may be set. */
  readonly oneof: string | undefined;
  /** Place in the definition, from 0. */
  readonly index: number;
  /** Of a message field. */
  readonly message: MessageDescriptor | undefined;
  /** Of an enum field. */
  readonly values: EnumDescriptor | undefined;
}

export interface MessageDescriptor {
  readonly name: string;
  /** In the order of the definition. */
  readonly fields: readonly FieldDescriptor[];
  readonly byNumber: ReadonlyMap<number, FieldDescriptor>;
  /** By both names. */
  readonly byName: ReadonlyMap<string, FieldDescriptor>;
  /** An entry of a map; its fields are key and value. */
  readonly isMapEntry: boolean;
}

export interface MethodDescriptor {
  readonly request: MessageDescriptor;
  readonly response: MessageDescriptor;
  readonly clientStreaming: boolean;
  readonly serverStreaming: boolean;
}

/** A definition file, as reflection hands it out. */
export interface FileDescriptor {
  readonly name: string;
  readonly encoded: Uint8Array;
  readonly imports: readonly string[];
  /** Full names of what it defines: messages, enums, services and their methods, fields. */
  readonly symbols: readonly string[];
  readonly services: readonly string[];
}

/** @param name full, without a leading dot. */
export function findMessage(name: string): MessageDescriptor {
  return catalogue().messages.get(name) ?? unreachable(`no message ${name}`);
}

/** @param path "/etcdserverpb.KV/Put". */
export function findMethod(path: string): MethodDescriptor | undefined {
  return catalogue().methods.get(path);
}

/** All methods by path. */
export function methodDescriptors(): ReadonlyMap<string, MethodDescriptor> {
  return catalogue().methods;
}

/** All files; what one imports comes before it. */
export function descriptorFiles(): readonly FileDescriptor[] {
  return catalogue().files;
}

interface Catalogue {
  readonly files: readonly FileDescriptor[];
  readonly messages: Map<string, MutableMessage>;
  readonly enums: Map<string, EnumDescriptor>;
  readonly methods: Map<string, MethodDescriptor>;
}

interface MutableField extends FieldDescriptor {
  message: MutableMessage | undefined;
  values: EnumDescriptor | undefined;
}

interface MutableMessage extends MessageDescriptor {
  readonly fields: MutableField[];
  readonly byNumber: Map<number, FieldDescriptor>;
  readonly byName: Map<string, FieldDescriptor>;
  isMapEntry: boolean;
}

/** Fields of a descriptor message: by number, the values in their order. */
class Raw {
  readonly #fields = new Map<number, (Uint8Array | number)[]>();

  constructor(bytes: Uint8Array) {
    const reader = new Reader(bytes);
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      const values = this.#fields.get(tag >>> 3) ?? [];
      this.#fields.set(tag >>> 3, values);
      values.push((tag & 7) === 2 ? Uint8Array.from(reader.bytes()) : reader.int32());
    }
  }

  parts(number: number): readonly Raw[] {
    return this.#all(number).map((value) => new Raw(value));
  }

  texts(number: number): readonly string[] {
    return this.#all(number).map((value) => Buffer.from(value).toString("utf8"));
  }

  text(number: number): string {
    return this.texts(number)[0] ?? "";
  }

  integer(number: number): number | undefined {
    const value = this.#fields.get(number)?.at(-1);
    return typeof value === "number" ? value : undefined;
  }

  #all(number: number): readonly Uint8Array[] {
    return (this.#fields.get(number) ?? []).filter((value) => typeof value !== "number");
  }
}

const kept: { catalogue?: Catalogue } = {};

function catalogue(): Catalogue {
  kept.catalogue ??= readAll();
  return kept.catalogue;
}

function readAll(): Catalogue {
  const files: FileDescriptor[] = [];
  const all: Catalogue = { files, messages: new Map(), enums: new Map(), methods: new Map() };
  const links: (() => void)[] = [];
  for (const [name, text] of Object.entries(encodedFiles)) {
    const encoded = Buffer.from(text, "base64");
    const file = new Raw(encoded);
    const symbols: string[] = [];
    const scope = { prefix: `${file.text(2)}.`, all, links, symbols };
    for (const part of file.parts(4)) readMessage(part, scope);
    for (const part of file.parts(5)) readEnum(part, scope);
    const services = file.parts(6).map((part) => readService(part, scope));
    files.push({ name, encoded, imports: file.texts(3), symbols, services });
  }
  for (const link of links) link();
  return all;
}

interface Scope {
  readonly prefix: string;
  readonly all: Catalogue;
  /** What is done when every message is known. */
  readonly links: (() => void)[];
  readonly symbols: string[];
}

function readMessage(raw: Raw, scope: Scope): void {
  const name = `${scope.prefix}${raw.text(1)}`;
  const inner = { ...scope, prefix: `${name}.` };
  for (const part of raw.parts(3)) readMessage(part, inner);
  for (const part of raw.parts(4)) readEnum(part, inner);
  const oneofs = raw.parts(8).map((part) => `${name}.${part.text(1)}`);
  const message: MutableMessage = {
    name,
    fields: raw.parts(2).map((part, index) => readField(part, { index, oneofs, scope })),
    byNumber: new Map(),
    byName: new Map(),
    isMapEntry: raw.parts(7)[0]?.integer(7) === 1,
  };
  for (const field of message.fields) {
    message.byNumber.set(field.number, field);
    message.byName.set(field.name, field).set(field.jsonName, field);
    scope.symbols.push(`${name}.${field.name}`);
  }
  scope.all.messages.set(name, message);
  scope.symbols.push(name);
}

function readField(
  raw: Raw,
  { index, oneofs, scope }: { index: number; oneofs: readonly string[]; scope: Scope },
): MutableField {
  const name = raw.text(1);
  const oneof = raw.integer(9);
  const field: MutableField = {
    name,
    jsonName: raw.text(10) || name,
    number: raw.integer(3) ?? 0,
    kind: kindOf(raw.integer(5) ?? 0),
    repeated: raw.integer(4) === 3,
    oneof: oneof === undefined ? undefined : oneofs[oneof],
    index,
    message: undefined,
    values: undefined,
  };
  const typeName = raw.text(6).slice(1);
  scope.links.push(() => {
    if (field.kind === FieldKind.message) field.message = scope.all.messages.get(typeName);
    if (field.kind === FieldKind.enumeration) field.values = scope.all.enums.get(typeName);
  });
  return field;
}

function readEnum(raw: Raw, scope: Scope): void {
  const name = `${scope.prefix}${raw.text(1)}`;
  const names = new Map<number, string>();
  const numbers = new Map<string, number>();
  for (const part of raw.parts(2)) {
    names.set(part.integer(2) ?? 0, part.text(1));
    numbers.set(part.text(1), part.integer(2) ?? 0);
  }
  scope.all.enums.set(name, { names, numbers });
  scope.symbols.push(name);
}

function readService(raw: Raw, scope: Scope): string {
  const name = `${scope.prefix}${raw.text(1)}`;
  scope.symbols.push(name);
  for (const part of raw.parts(2)) {
    const method = part.text(1);
    scope.symbols.push(`${name}.${method}`);
    scope.links.push(() => {
      scope.all.methods.set(`/${name}/${method}`, {
        request: findIn(scope.all, part.text(2)),
        response: findIn(scope.all, part.text(3)),
        clientStreaming: part.integer(5) === 1,
        serverStreaming: part.integer(6) === 1,
      });
    });
  }
  return name;
}

function findIn(all: Catalogue, typeName: string): MessageDescriptor {
  return all.messages.get(typeName.slice(1)) ?? unreachable(`no message ${typeName}`);
}

function kindOf(type: number): FieldKind {
  for (const kind of Object.values(FieldKind)) if (kind === type) return kind;
  return unreachable(`a field of type ${type} has no form here`);
}
