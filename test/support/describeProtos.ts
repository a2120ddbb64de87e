// From src/proto/*.proto to the descriptors that the server carries: FileDescriptorProto, as reflection
// hands them out and as the JSON gateway reads them. The definitions themselves are not loaded at run time.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import protobuf from "protobufjs";
import descriptorTypes, { type IFileDescriptorProto } from "protobufjs/ext/descriptor.js";
import { projectRoot } from "./paths.ts";

type Message = NonNullable<IFileDescriptorProto["messageType"]>[number];
type Field = NonNullable<Message["field"]>[number];
type Enum = NonNullable<IFileDescriptorProto["enumType"]>[number];
type Service = NonNullable<IFileDescriptorProto["service"]>[number];

const { FileDescriptorProto } = descriptorTypes;
const folder = join(projectRoot, "src/proto");

/** Numbers of FieldDescriptorProto.Type. */
const scalarTypes: Readonly<Record<string, number>> = {
  ...{ double: 1, float: 2, int64: 3, uint64: 4, int32: 5, fixed64: 6, fixed32: 7, bool: 8 },
  ...{ string: 9, bytes: 12, uint32: 13, sfixed32: 15, sfixed64: 16, sint32: 17, sint64: 18 },
};
const messageKind = 11;
const enumKind = 14;
const optional = 1;
const repeated = 3;

/** The source of the generated file. */
export function describeProtos(): string {
  const lines = [...filesInOrder()].map(([name, file]) => {
    const bytes = Buffer.from(
      FileDescriptorProto.encode(FileDescriptorProto.fromObject(file)).finish(),
    );
    const parts = bytes.toString("base64").match(/.{1,100}/g) ?? [];
    return `  "${name}":\n${parts.map((part) => `    "${part}"`).join(" +\n")},`;
  });
  return [
    "// Made from *.proto by `npm test -- proto/descriptors --rewrite`: FileDescriptorProto in base64, what",
    "// a file imports before it.",
    "export const encodedFiles: Readonly<Record<string, string>> = {",
    ...lines,
    "};",
    "",
  ].join("\n");
}

function filesInOrder(): ReadonlyMap<string, IFileDescriptorProto> {
  const names = readdirSync(folder).filter((name) => name.endsWith(".proto"));
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => join(folder, target);
  root.loadSync(names.sort(), { keepCase: true });
  root.resolveAll();
  const files = new Map<string, IFileDescriptorProto>();
  const add = (name: string): void => {
    if (files.has(name)) return;
    const { imports = [], package: packageName = "" } = protobuf.parse(
      readFileSync(join(folder, name), "utf8"),
      new protobuf.Root(),
      { keepCase: true },
    );
    for (const imported of imports) add(imported);
    files.set(name, describeFile({ name, imports, packageName, root }));
  };
  for (const name of names) add(name);
  return files;
}

function describeFile(source: {
  readonly name: string;
  readonly imports: readonly string[];
  readonly packageName: string;
  readonly root: protobuf.Root;
}): IFileDescriptorProto {
  const path = join(folder, source.name);
  const namespace = source.root.lookup(source.packageName);
  const own = (namespace instanceof protobuf.Namespace ? namespace.nestedArray : []).filter(
    ({ filename }) => filename === path,
  );
  return {
    name: source.name,
    package: source.packageName,
    dependency: [...source.imports],
    messageType: own.filter((item) => item instanceof protobuf.Type).map(describeMessage),
    enumType: own.filter((item) => item instanceof protobuf.Enum).map(describeEnum),
    service: own.filter((item) => item instanceof protobuf.Service).map(describeService),
    syntax: "proto3",
  };
}

function describeMessage(type: protobuf.Type): Message {
  const maps = type.fieldsArray.filter((field) => field instanceof protobuf.MapField);
  return {
    name: type.name,
    field: type.fieldsArray.map((field) => describeField(field, type)),
    nestedType: [
      ...type.nestedArray.filter((item) => item instanceof protobuf.Type).map(describeMessage),
      ...maps.map(describeEntry),
    ],
    enumType: type.nestedArray.filter((item) => item instanceof protobuf.Enum).map(describeEnum),
    oneofDecl: type.oneofsArray.map(({ name }) => ({ name })),
  };
}

function describeField(field: protobuf.Field, owner: protobuf.Type): Field {
  const named = {
    name: field.name,
    number: field.id,
    jsonName: protobuf.util.camelCase(field.name),
  };
  if (field instanceof protobuf.MapField) {
    const typeName = `${owner.fullName}.${entryName(field)}`;
    return { ...named, label: repeated, type: messageKind, typeName };
  }
  const { partOf } = field;
  return {
    ...named,
    label: field.repeated ? repeated : optional,
    ...typeOf(field),
    ...(partOf && { oneofIndex: owner.oneofsArray.indexOf(partOf) }),
  };
}

function typeOf(
  field: Pick<protobuf.Field, "resolvedType" | "type" | "fullName">,
): Pick<Field, "type" | "typeName"> {
  const { resolvedType } = field;
  if (resolvedType instanceof protobuf.Type) {
    return { type: messageKind, typeName: resolvedType.fullName };
  }
  if (resolvedType instanceof protobuf.Enum) {
    return { type: enumKind, typeName: resolvedType.fullName };
  }
  const type = scalarTypes[field.type];
  if (type === undefined) throw new Error(`${field.fullName} has an unknown type ${field.type}`);
  return { type };
}

const entryName = ({ name }: protobuf.MapField): string =>
  `${name.slice(0, 1).toUpperCase()}${protobuf.util.camelCase(name).slice(1)}Entry`;

function describeEntry(field: protobuf.MapField): Message {
  return {
    name: entryName(field),
    field: [
      { name: "key", number: 1, label: optional, type: scalarTypes[field.keyType] ?? 0 },
      { name: "value", number: 2, label: optional, ...typeOf(field) },
    ],
    options: { mapEntry: true },
  };
}

function describeEnum(item: protobuf.Enum): Enum {
  const value = Object.entries(item.values).map(([name, number]) => ({ name, number }));
  return { name: item.name, value };
}

function describeService(service: protobuf.Service): Service {
  const method = service.methodsArray.map((item) => {
    const { resolvedRequestType, resolvedResponseType } = item;
    return {
      name: item.name,
      inputType: resolvedRequestType?.fullName ?? "",
      outputType: resolvedResponseType?.fullName ?? "",
      clientStreaming: item.requestStream === true,
      serverStreaming: item.responseStream === true,
    };
  });
  return { name: service.name, method };
}
