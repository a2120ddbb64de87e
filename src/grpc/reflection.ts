// gRPC server reflection, versions 1 and 1alpha: lets tools such as grpcurl find out what is served.
import { type EtcdError, errMalformed, StatusCode } from "../base/errors.ts";
import { descriptorFiles, type FileDescriptor } from "../proto/descriptors.ts";
import { Malformed, Reader } from "../proto/reader.ts";
import { Writer } from "../proto/writer.ts";
import type { MethodTable, StreamCall, StreamHandler, StreamMethod } from "./call.ts";

const method = (version: string): string =>
  `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;

/** Both speak the same messages. */
const reflectionPaths: readonly string[] = [method("v1"), method("v1alpha")];

/** ServerReflectionRequest: one of its questions. */
type Question =
  | { readonly kind: "fileByName"; readonly text: string }
  | { readonly kind: "fileContaining"; readonly text: string }
  | { readonly kind: "services" }
  | { readonly kind: "extensions"; readonly text: string }
  | { readonly kind: "none" };

interface Request {
  readonly host: string;
  readonly question: Question;
  /** As it came; goes into the answer. */
  readonly original: Uint8Array;
}

/** Adds the service that tells of the others. */
export function withReflection(methods: MethodTable): MethodTable {
  const paths = [...methods.unary.keys(), ...methods.stream.keys()];
  const services = new Set(paths.map((path) => path.split("/")[1] ?? ""));
  const { info } = new ReflectionService(new Writer(), services);
  const stream = new Map(methods.stream);
  for (const path of reflectionPaths) stream.set(path, info);
  return { unary: methods.unary, stream };
}

class ReflectionService {
  readonly #writer: Writer;
  /** Full names, sorted. */
  readonly #services: readonly string[];

  /** @param services full names of what is served. */
  constructor(writer: Writer, services: Iterable<string>) {
    this.#writer = writer;
    this.#services = [...services].sort();
  }

  readonly info: StreamMethod = (call) => {
    // A question may ask for files again on the same stream: each is sent once (as in grpc-go).
    const sent = new Set<string>();
    return {
      onMessage: (message) => this.#answer(call, message, sent),
      onHalfClose: () => call.end(),
      onDrain() {},
      onCancel() {},
    } satisfies StreamHandler;
  };

  #answer(call: StreamCall, message: Uint8Array, sent: Set<string>): void {
    const request = decodeRequest(message);
    if (request instanceof Malformed) {
      call.fail(errMalformed(request.why));
      return;
    }
    // Answers are small and few, and a client that takes none gets no window for more questions.
    call.write(this.#encode(request, sent));
  }

  #encode(request: Request, sent: Set<string>): Uint8Array {
    const { question } = request;
    const writer = this.#writer;
    switch (question.kind) {
      case "fileByName":
        return this.#files(request, fileNamed(question.text), sent);
      case "fileContaining":
        return this.#files(request, fileWith(question.text), sent);
      case "services": {
        const mark = writer.mark();
        for (const name of this.#services.toReversed()) {
          const inner = writer.mark();
          writer.string(0x0a, name);
          writer.message(0x0a, inner);
        }
        writer.message(0x32, mark);
        return finish(writer, request);
      }
      case "extensions":
        // Nothing here can be extended.
        return this.#error(request, StatusCode.notFound, `unknown type ${question.text}`);
      case "none":
        return this.#error(request, StatusCode.invalidArgument, "no question that is known");
    }
  }

  #files(request: Request, file: FileDescriptor | undefined, sent: Set<string>): Uint8Array {
    if (file === undefined) return this.#error(request, StatusCode.notFound, "not found");
    const writer = this.#writer;
    const mark = writer.mark();
    for (const { name, encoded } of withImports(file).toReversed()) {
      if (sent.has(name) && name !== file.name) continue;
      sent.add(name);
      writer.bytesPresent(0x0a, encoded);
    }
    writer.message(0x22, mark);
    return finish(writer, request);
  }

  #error(request: Request, code: EtcdError["code"], text: string): Uint8Array {
    const writer = this.#writer;
    const mark = writer.mark();
    writer.string(0x12, text);
    writer.integer(0x08, code);
    writer.message(0x3a, mark);
    return finish(writer, request);
  }
}

// The answer's first two fields: valid host, original request.
function finish(writer: Writer, { host, original }: Request): Uint8Array {
  writer.bytesPresent(0x12, original);
  writer.string(0x0a, host);
  return writer.finish();
}

function decodeRequest(message: Uint8Array): Request | Malformed {
  const reader = new Reader(message);
  let host = "";
  let question: Question = { kind: "none" };
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case 0x0a:
        host = reader.string();
        break;
      case 0x1a:
        question = { kind: "fileByName", text: reader.string() };
        break;
      case 0x22:
        question = { kind: "fileContaining", text: reader.string() };
        break;
      case 0x2a:
        reader.bytes();
        question = { kind: "extensions", text: "extension" };
        break;
      case 0x32:
        question = { kind: "extensions", text: reader.string() };
        break;
      case 0x3a:
        reader.string();
        question = { kind: "services" };
        break;
      default:
        reader.skip(tag, 0);
    }
  }
  return reader.fault ?? { host, question, original: message };
}

function fileNamed(name: string): FileDescriptor | undefined {
  return descriptorFiles().find((file) => file.name === name);
}

function fileWith(symbol: string): FileDescriptor | undefined {
  return descriptorFiles().find(({ symbols }) => symbols.includes(symbol));
}

/** The file and all that it needs, those first. */
function withImports(file: FileDescriptor): readonly FileDescriptor[] {
  const needed = new Map<string, FileDescriptor>();
  const add = (one: FileDescriptor): void => {
    for (const name of one.imports) {
      const imported = fileNamed(name);
      if (imported !== undefined && !needed.has(name)) add(imported);
    }
    needed.set(one.name, one);
  };
  add(file);
  return [...needed.values()];
}
