// Snapshot messages: what a caller gets of the file that a member gives, and what the member hears of it.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { SnapshotCall } from "../../src/api/snapshot.ts";
import { type EtcdError, errStopped } from "../../src/base/errors.ts";
import type { StreamCall } from "../../src/grpc/call.ts";
import type { SnapshotRequests, SnapshotSink } from "../../src/member/snapshotRequests.ts";
import { Writer } from "../../src/proto/writer.ts";
import { decodeMessage } from "../support/messages.ts";

class FakeCall implements StreamCall {
  readonly messages: Record<string, unknown>[] = [];
  readonly cancelled = false;
  readonly backlogBytes = 0;
  isFull = false;
  ending: EtcdError | "ok" | undefined;

  metadata(): undefined {}

  write(message: Uint8Array): boolean {
    this.messages.push(decodeMessage("SnapshotResponse", Buffer.from(message)));
    return !this.isFull;
  }

  end(): void {
    this.ending = "ok";
  }

  fail(error: EtcdError): void {
    this.ending = error;
  }
}

/** Its file is the test's to give. */
class FakeSnapshots implements SnapshotRequests {
  readonly heard: string[] = [];
  sink: SnapshotSink | undefined;

  get isAsked(): boolean {
    return this.sink !== undefined;
  }

  open(sink: SnapshotSink) {
    this.sink = sink;
    return {
      resume: () => void this.heard.push("resume"),
      cancel: () => void this.heard.push("cancel"),
    };
  }
}

function opened() {
  const call = new FakeCall();
  const snapshots = new FakeSnapshots();
  const handler = new SnapshotCall(snapshots, call, new Writer());
  assert.ok(!snapshots.isAsked, "nothing happens before the request");
  handler.onMessage(Buffer.alloc(0));
  handler.onMessage(Buffer.alloc(0));
  assert.ok(snapshots.sink);
  return { call, snapshots, handler, sink: snapshots.sink };
}

test("each message says what is still to come; the hash of all is the last", () => {
  const { call, sink, handler } = opened();
  handler.onHalfClose();
  sink.onBegin(5);
  assert.equal(sink.onBytes(Buffer.from("abc")), true);
  call.isFull = true;
  assert.equal(sink.onBytes(Buffer.from("de")), false);
  sink.onEnd();
  const told = call.messages.map(({ header, remaining_bytes, blob }) => {
    assert.equal(header ?? null, null);
    return [Number(remaining_bytes ?? 0), Buffer.from(blob as Uint8Array).toString("hex")];
  });
  assert.deepEqual(told, [
    [2, Buffer.from("abc").toString("hex")],
    [0, Buffer.from("de").toString("hex")],
    [0, createHash("sha256").update("abcde").digest("hex")],
  ]);
  assert.equal(call.ending, "ok");
});

test("the member hears of room, and of a caller that is gone", () => {
  const { snapshots, handler } = opened();
  handler.onDrain();
  handler.onCancel();
  assert.deepEqual(snapshots.heard, ["resume", "cancel"]);
});

test("what the member refuses, and what is no request, fails the call", () => {
  const refused = opened();
  refused.sink.onRefused(errStopped);
  assert.equal(refused.call.ending, errStopped);
  const call = new FakeCall();
  const snapshots = new FakeSnapshots();
  new SnapshotCall(snapshots, call, new Writer()).onMessage(Buffer.of(0x0a));
  assert.ok(!snapshots.isAsked);
  assert.ok(call.ending instanceof Error);
});
