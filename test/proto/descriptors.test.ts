// The descriptors that the server carries say what src/proto/*.proto says.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { FieldKind, findMessage, findMethod } from "../../src/proto/descriptors.ts";
import { describeProtos } from "../support/describeProtos.ts";
import { projectRoot } from "../support/paths.ts";

const generated = join(projectRoot, "src/proto/generatedDescriptors.ts");

test("the generated descriptors are up to date", () => {
  const wanted = describeProtos();
  if (process.env.QUORLET_REWRITE) writeFileSync(generated, wanted);
  else
    assert.equal(
      readFileSync(generated, "utf8"),
      wanted,
      "npm test -- proto/descriptors --rewrite",
    );
});

test("messages are found with the fields of their definition", () => {
  const compare = findMessage("etcdserverpb.Compare");
  assert.deepEqual(
    compare.fields.map(({ name, number }) => `${name}=${number}`),
    [
      ...["result=1", "target=2", "key=3", "version=4", "create_revision=5", "mod_revision=6"],
      ...["value=7", "lease=8", "range_end=64"],
    ],
  );
  const [result, , key, version] = compare.fields;
  assert.equal(result?.kind, FieldKind.enumeration);
  assert.equal(result?.values?.names.get(3), "NOT_EQUAL");
  assert.equal(key?.oneof, undefined);
  assert.equal(version?.oneof, "etcdserverpb.Compare.target_union");
  assert.equal(compare.byName.get("rangeEnd"), compare.byName.get("range_end"));
});

test("methods are found with their messages", () => {
  const watch = findMethod("/etcdserverpb.Watch/Watch");
  assert.equal(watch?.request.name, "etcdserverpb.WatchRequest");
  assert.equal(watch?.response.name, "etcdserverpb.WatchResponse");
  assert.deepEqual([watch?.clientStreaming, watch?.serverStreaming], [true, true]);
  assert.equal(findMethod("/etcdserverpb.Watch/Nothing"), undefined);
});
