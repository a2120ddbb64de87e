// Linearizable reads: one round per turn, fresh ids, served at the applied index.
import assert from "node:assert/strict";
import test from "node:test";
import { LogIndex } from "../../src/base/brand.ts";
import { type EtcdError, errStopped, errTimeout } from "../../src/base/errors.ts";
import { Reads } from "../../src/member/reads.ts";
import type { ReadCompletion } from "../../src/member/service.ts";

class Reader implements ReadCompletion {
  served = 0;
  error: EtcdError | undefined;
  onReady(): void {
    this.served++;
  }
  onRefused(error: EtcdError): void {
    this.error = error;
  }
}

const always = (): boolean => true;

function setUp(): { reads: Reads; asked: number[]; ask: (id: number) => void } {
  const asked: number[] = [];
  return {
    reads: new Reads({ incarnation: 0, waitTicksMax: 70, retryTicks: 5 }),
    asked,
    ask: (id) => void asked.push(id),
  };
}

test("reads of one turn share a round; a turn without reads asks nothing", () => {
  const { reads, asked, ask } = setUp();
  const readers = [new Reader(), new Reader(), new Reader()];
  for (const reader of readers) reads.add(reader);
  reads.askTurn(ask);
  reads.askTurn(ask);
  assert.deepEqual(asked, [1]);
  reads.onConfirmed({ requestId: 1, index: LogIndex(4) }, LogIndex(4));
  reads.serveDue(always);
  assert.deepEqual(
    readers.map((reader) => reader.served),
    [1, 1, 1],
  );
  assert.equal(reads.count, 0);
});

test("a confirmed read waits until its index is applied", () => {
  const { reads, ask } = setUp();
  const reader = new Reader();
  reads.add(reader);
  reads.askTurn(ask);
  reads.onConfirmed({ requestId: 1, index: LogIndex(9) }, LogIndex(8));
  reads.serveDue(always);
  assert.equal(reader.served, 0);
  reads.onApplied(LogIndex(8));
  reads.serveDue(always);
  assert.equal(reader.served, 0);
  reads.onApplied(LogIndex(9));
  reads.serveDue(always);
  assert.equal(reader.served, 1);
});

test("a lost round is asked again with a fresh id, at the next tick and not within the turn", () => {
  const { reads, asked, ask } = setUp();
  const reader = new Reader();
  reads.add(reader);
  reads.askTurn(ask);
  reads.onLost(1);
  assert.deepEqual(asked, [1]);
  reads.tick(ask);
  assert.deepEqual(asked, [1, 2]);
  reads.onConfirmed({ requestId: 1, index: LogIndex(1) }, LogIndex(1));
  reads.serveDue(always);
  assert.equal(reader.served, 0, "an answer to the old id counts for nothing");
  reads.onConfirmed({ requestId: 2, index: LogIndex(1) }, LogIndex(1));
  reads.serveDue(always);
  assert.equal(reader.served, 1);
});

test("a silent round is retried every five ticks and refused after its time", () => {
  const { reads, asked, ask } = setUp();
  const reader = new Reader();
  reads.add(reader);
  reads.askTurn(ask);
  for (let tick = 1; tick <= 69; tick++) reads.tick(ask);
  assert.equal(asked.length, 1 + 13);
  assert.equal(new Set(asked).size, asked.length, "ids are never used twice");
  assert.equal(reader.error, undefined);
  reads.tick(ask);
  assert.equal(reader.error, errTimeout);
});

test("ids of one life are not those of another, and pass as safe integers", () => {
  const asked = [1, 2, 3, 2 ** 20 - 1, 2 ** 20, 2 ** 41, 2 ** 48 - 1].map((incarnation) => {
    const reads = new Reads({ incarnation, waitTicksMax: 70, retryTicks: 5 });
    let id = 0;
    reads.add(new Reader());
    reads.askTurn((requestId) => {
      id = requestId;
    });
    assert.ok(Number.isSafeInteger(id) && id > 0, `incarnation ${incarnation}`);
    return id;
  });
  // Rounds outlive a few seconds at most, so far fewer lives than it takes to come round.
  assert.equal(new Set(asked.slice(0, 5)).size, 5);
});

// Simulator, seed 5: the log's disk stood still for minutes, and so did reads that were confirmed.
test("a confirmed read whose index is not applied is refused after its time", () => {
  const { reads, ask } = setUp();
  const reader = new Reader();
  reads.add(reader);
  reads.askTurn(ask);
  for (let tick = 1; tick <= 3; tick++) reads.tick(ask);
  reads.onConfirmed({ requestId: 1, index: LogIndex(9) }, LogIndex(8));
  reads.serveDue(always);
  for (let tick = 4; tick <= 69; tick++) reads.tick(ask);
  assert.equal(reader.error, undefined);
  reads.tick(ask);
  assert.equal(reader.error, errTimeout);
  reads.onApplied(LogIndex(9));
  reads.serveDue(always);
  assert.equal(reader.served, 0, "answered once");
  assert.equal(reads.count, 0);
});

test("a new leader is asked at once", () => {
  const { reads, asked, ask } = setUp();
  reads.add(new Reader());
  reads.askTurn(ask);
  reads.onLeader(ask);
  assert.deepEqual(asked, [1, 2]);
});

test("stopping refuses collected, asked and confirmed reads", () => {
  const { reads, ask } = setUp();
  const readers = [new Reader(), new Reader(), new Reader()];
  const [confirmed, asked, collected] = readers;
  assert.ok(confirmed && asked && collected);
  reads.add(confirmed);
  reads.askTurn(ask);
  reads.onConfirmed({ requestId: 1, index: LogIndex(5) }, LogIndex(0));
  reads.serveDue(always);
  reads.add(asked);
  reads.askTurn(ask);
  reads.add(collected);
  reads.refuseAll(errStopped);
  assert.deepEqual(
    readers.map((reader) => reader.error),
    [errStopped, errStopped, errStopped],
  );
  assert.equal(reads.count, 0);
});

test("reads are served within the time of a turn, in order, the rest in the next", () => {
  const { reads, ask, asked } = setUp();
  const order: number[] = [];
  for (let i = 0; i < 5; i++) {
    reads.add({ onReady: () => void order.push(i), onRefused: (error) => assert.fail(error) });
  }
  reads.askTurn(ask);
  reads.onConfirmed({ requestId: asked[0] ?? 0, index: LogIndex(1) }, LogIndex(1));
  let budget = 2;
  assert.equal(
    reads.serveDue(() => --budget > 0),
    true,
    "some are left",
  );
  assert.deepEqual(order, [0, 1]);
  assert.equal(
    reads.serveDue(() => false),
    true,
    "one is served even without time",
  );
  assert.equal(reads.serveDue(always), false, "nothing is left");
  assert.deepEqual(order, [0, 1, 2, 3, 4]);
  assert.equal(reads.count, 0);
});

test("reads that take several turns go on one after the other, beside short ones", () => {
  const { reads, ask, asked } = setUp();
  const order: string[] = [];
  const read = (name: string, steps: number): ReadCompletion => ({
    onReady() {
      order.push(name);
      steps--;
    },
    get hasMore() {
      return steps > 0;
    },
    onRefused: (error) => assert.fail(error),
  });
  reads.add(read("a", 3));
  reads.add(read("b", 2));
  reads.askTurn(ask);
  reads.onConfirmed({ requestId: asked[0] ?? 0, index: LogIndex(1) }, LogIndex(1));
  assert.equal(reads.serveDue(always), true);
  assert.deepEqual(order, ["a", "b", "a"]);
  reads.add(read("short", 1));
  reads.askTurn(ask);
  reads.onConfirmed({ requestId: asked[1] ?? 0, index: LogIndex(1) }, LogIndex(1));
  assert.equal(reads.count, 3);
  assert.equal(reads.serveDue(always), true);
  assert.deepEqual(order.slice(3), ["short", "a"]);
  assert.equal(reads.serveDue(always), false);
  assert.deepEqual(order.slice(5), ["b"]);
  assert.equal(reads.count, 0);
  // One that began without a round, and the end of everything.
  const refused: string[] = [];
  reads.addLong({
    onReady: () => {},
    hasMore: true,
    onRefused: (error) => void refused.push(error.message),
  });
  assert.equal(reads.serveDue(always), true);
  reads.refuseAll(errStopped);
  assert.deepEqual(refused, [errStopped.message]);
  assert.equal(reads.hasDue, false);
});
