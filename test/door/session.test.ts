// Long answers of a client that talks in batches: as fast as it takes them, and no more than it may have.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type DoorPort, postedBytesMax } from "../../src/door/doorPort.ts";
import { EmbeddedDoor } from "../../src/door/embedded.ts";
import { defaultSessionLimits } from "../../src/door/session.ts";
import { type AnswerVisitor, BatchWriter, readAnswers } from "../../src/transport/callBatch.ts";

const path = "/etcdserverpb.KV/Range";
const parts = Array.from({ length: 10 }, (_, i) => new Uint8Array(50_000).fill(i + 1));
const bytesAll = 500_000;

/** A client whose port takes what the test lets it; every call is answered with `parts`. */
function opened(answerBytesMax = defaultSessionLimits.answerBytesMax) {
  const heard: string[] = [];
  const pieces: Uint8Array[] = [];
  const hear = (line: string, bytes: Uint8Array): void => {
    heard.push(line);
    pieces.push(bytes);
  };
  const visitor: AnswerVisitor = {
    onPart: (id, bytes) => hear(`part of ${id}`, bytes),
    onAnswer: (id, bytes) => hear(`end of ${id}`, bytes),
    onFailure: (id, { code }) => void heard.push(`${id} failed: ${code}`),
    onLeader: () => {},
    onMessage: () => {},
    onEnd: () => {},
  };
  let deliver = (_batch: Uint8Array): void => {};
  const port = {
    backlogBytes: 0,
    hasRoom: (): void => {},
    listen: (onBatch: (batch: Uint8Array) => void) => {
      deliver = onBatch;
    },
    onClose: () => {},
    onRoom: (hasRoom: () => void) => {
      port.hasRoom = hasRoom;
    },
    post: (batch: Uint8Array) => void assert.ok(readAnswers(batch, visitor)),
    close: () => {},
  } satisfies DoorPort & { hasRoom: () => void };
  const door = new EmbeddedDoor({
    requestFlush: () => setImmediate(() => door.flush()),
    onMistake: (error) => assert.fail(`${error}`),
    limits: { answerBytesMax },
  });
  door.attach(port);
  door.serve({
    unary: new Map([[path, (call) => call.respondInParts(parts)]]),
    stream: new Map(),
  });
  const writer = new BatchWriter();
  writer.define(0, path);
  const ask = (...ids: readonly number[]): void => {
    for (const id of ids) writer.call({ id, method: 0, timeoutMs: 1e6 }, new Uint8Array(0));
    deliver(writer.finish());
  };
  const cancel = (id: number): void => {
    writer.cancel(id);
    deliver(writer.finish());
  };
  return { heard, pieces, port, ask, cancel };
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise(setImmediate);
}

test("parts of two answers take turns, each in a turn of its own", async () => {
  const { heard, pieces, ask } = opened();
  ask(1, 2);
  await turns(6);
  assert.ok(heard.length < 8, `${heard.length} parts in 6 turns`);
  await turns(40);
  const each = (id: number): string[] => [...Array(9).fill(`part of ${id}`), `end of ${id}`];
  assert.deepEqual(
    heard,
    each(1).flatMap((line, i) => [line, each(2)[i]]),
  );
  const first = pieces.filter((_, i) => i % 2 === 0);
  assert.equal(Buffer.compare(Buffer.concat(first), Buffer.concat(parts)), 0);
});

test("a client that takes nothing is sent nothing more, until it has room", async () => {
  const { heard, port, ask } = opened();
  port.backlogBytes = postedBytesMax + 1;
  ask(1);
  await turns(20);
  assert.deepEqual(heard, []);
  port.backlogBytes = 0;
  port.hasRoom();
  await turns(3);
  port.backlogBytes = postedBytesMax + 1;
  await turns(20);
  const { length } = heard;
  assert.ok(length > 0 && length < 6, `${length} parts`);
  port.backlogBytes = 0;
  port.hasRoom();
  await turns(40);
  assert.equal(heard.at(-1), "end of 1");
});

test("what waits counts, and what is cancelled does not", async () => {
  const { heard, ask, cancel } = opened(2 * bytesAll + 1_000);
  ask(1, 2, 3);
  cancel(1);
  ask(4);
  await turns(60);
  const ends = heard.filter((line) => !line.startsWith("part"));
  assert.deepEqual(ends, ["3 failed: 8", "end of 2", "end of 4"]);
  assert.ok(heard.filter((line) => line === "part of 1").length === 0);
});
