// Reflection as grpcurl uses it: list, find a symbol, fetch its file and what that needs.
import assert from "node:assert/strict";
import { test } from "node:test";
import protobuf from "protobufjs";
import descriptorTypes from "protobufjs/ext/descriptor.js";
import type { MethodTable, StreamCall } from "../../src/grpc/call.ts";
import { withReflection } from "../../src/grpc/reflection.ts";

const schema = `
  syntax = "proto3";
  message Request {
    string host = 1;
    oneof question {
      string file_by_filename = 3;
      string file_containing_symbol = 4;
      string all_extension_numbers_of_type = 6;
      string list_services = 7;
    }
  }
  message Response {
    string valid_host = 1;
    Request original_request = 2;
    Files file_descriptor_response = 4;
    Services list_services_response = 6;
    Failure error_response = 7;
  }
  message Files { repeated bytes file_descriptor_proto = 1; }
  message Services { repeated Service service = 1; }
  message Service { string name = 1; }
  message Failure { int32 error_code = 1; string error_message = 2; }
`;
const { root } = protobuf.parse(schema, { keepCase: true });
const [Request, Response] = [root.lookupType("Request"), root.lookupType("Response")];

const served: MethodTable = {
  unary: new Map([
    ["/etcdserverpb.KV/Put", () => {}],
    ["/etcdserverpb.KV/Range", () => {}],
    ["/grpc.health.v1.Health/Check", () => {}],
  ]),
  stream: new Map(),
};

interface Asked {
  readonly valid_host?: string;
  readonly original_request?: object;
  readonly file_descriptor_response?: { readonly file_descriptor_proto: readonly Buffer[] };
  readonly list_services_response?: { readonly service: readonly { readonly name: string }[] };
  readonly error_response?: { readonly error_code: number; readonly error_message: string };
}

function ask(version: string, ...questions: readonly object[]): readonly Asked[] {
  const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
  const method = withReflection(served).stream.get(path);
  assert.ok(method, path);
  const answers: Asked[] = [];
  let ended = false;
  const call: StreamCall = {
    ...{ cancelled: false, backlogBytes: 0 },
    metadata: () => undefined,
    write(message) {
      answers.push(Response.toObject(Response.decode(message)) as Asked);
      return true;
    },
    end: () => {
      ended = true;
    },
    fail: (error) => assert.fail(error.message),
  };
  const handler = method(call);
  for (const question of questions) {
    handler.onMessage(Request.encode(Request.fromObject(question)).finish());
  }
  handler.onHalfClose();
  assert.ok(ended);
  return answers;
}

for (const version of ["v1", "v1alpha"]) {
  test(`${version}: services and their definitions are told`, () => {
    const [list, found] = ask(
      version,
      { host: "h", list_services: "*" },
      { file_containing_symbol: "etcdserverpb.KV" },
    );
    assert.equal(list?.valid_host, "h");
    assert.deepEqual(list?.original_request, { host: "h", list_services: "*" });
    assert.deepEqual(
      list?.list_services_response?.service.map(({ name }) => name),
      ["etcdserverpb.KV", "grpc.health.v1.Health"],
    );
    const files = found?.file_descriptor_response?.file_descriptor_proto ?? [];
    // The files join to something that a client can use.
    const set = { file: files.map((file) => descriptorTypes.FileDescriptorProto.decode(file)) };
    const known = protobuf.Root.fromDescriptor(
      descriptorTypes.FileDescriptorSet.encode(set).finish(),
    );
    const { Put } = known.lookupService("etcdserverpb.KV").methods;
    assert.equal(Put?.requestType, ".etcdserverpb.PutRequest");
    assert.equal(known.lookupType("mvccpb.KeyValue").fields.modRevision?.id, 3);
  });
}

test("what is not there is said so, and the stream goes on", () => {
  const answers = ask(
    "v1",
    { file_containing_symbol: "no.Such" },
    { file_by_filename: "none.proto" },
    { all_extension_numbers_of_type: "etcdserverpb.PutRequest" },
    {},
    { file_by_filename: "header.proto" },
  );
  assert.deepEqual(
    answers.map(({ error_response: error }) => error?.error_code),
    [5, 5, 5, 3, undefined],
  );
  assert.equal(answers[4]?.file_descriptor_response?.file_descriptor_proto.length, 1);
});
