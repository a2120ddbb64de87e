// One transfer without members: sender and receiver over a link that the test turns.
import assert from "node:assert/strict";
import test from "node:test";
import { LogIndex, MemberId, Term } from "../../src/base/brand.ts";
import { copyBytes } from "../../src/base/bytes.ts";
import {
  decodeImageFrame,
  encodeImageFrame,
  type ImageFrame,
  type OfferFrame,
  sealChunk,
} from "../../src/member/imageFrames.ts";
import { ImageReceiver } from "../../src/member/imageReceiver.ts";
import {
  framesPerTurnMax,
  ImageSender,
  rowsPerTurnMax,
  silentTicksMax,
  stalledTicksMax,
  windowFramesMax,
} from "../../src/member/imageSender.ts";
import { type PinnedRows, Table, type TableRow } from "../../src/storage/engine.ts";
import { MemoryEngine } from "../../src/storage/memory.ts";
import { MemoryStoreHome } from "../../src/storage/memoryHome.ts";
import type { StoreHome } from "../../src/storage/storeHome.ts";

const membership = { voters: [MemberId(1n), MemberId(2n)], outgoing: [], learners: [] };
const meta = { index: LogIndex(9), term: Term(2), membership };

interface World {
  readonly sender: ImageSender;
  receiver: ImageReceiver | undefined;
  /** Frames that left and were not delivered. */
  readonly toPeer: Uint8Array[];
  readonly toLeader: Uint8Array[];
  readonly home: StoreHome;
  laneFull: boolean;
  change: (frame: Uint8Array) => Uint8Array;
  runDeferred(): void;
  deliver(): void;
  /** Until nobody does anything more. */
  settle(): void;
}

function decoded(bytes: Uint8Array): ImageFrame {
  const frame = decodeImageFrame(bytes);
  assert.ok(typeof frame !== "string", String(frame));
  return frame;
}

interface Parts {
  readonly home?: (deferred: (() => void)[]) => StoreHome;
  /** The leader's disk. */
  readonly slow?: (rows: PinnedRows) => PinnedRows;
}

function worldWith(
  rows: readonly TableRow[],
  { home, slow = (pinned) => pinned }: Parts = {},
): World {
  const deferred: (() => void)[] = [];
  const defer = (run: () => void): void => void deferred.push(run);
  const source = new MemoryEngine({ defer });
  source.submit({ puts: rows, deletes: [] }, () => {});
  for (const run of deferred.splice(0)) run();
  const toPeer: Uint8Array[] = [];
  const toLeader: Uint8Array[] = [];
  const sender = new ImageSender({
    peer: MemberId(2n),
    transfer: 5,
    image: { meta, rows: slow(source.pin()) },
    leaderTerm: Term(2),
    startMs: 0,
    sendBulk: (frame) => {
      if (!world.laneFull) toPeer.push(copyBytes(frame));
      return !world.laneFull;
    },
  });
  const world: World = {
    sender,
    receiver: undefined,
    toPeer,
    toLeader,
    home: home?.(deferred) ?? new MemoryStoreHome({ defer }),
    laneFull: false,
    change: (frame) => frame,
    runDeferred: () => {
      for (const run of deferred.splice(0)) run();
    },
    deliver: () => {
      for (const bytes of toPeer.splice(0)) receive(world, decoded(world.change(bytes)));
      for (const bytes of toLeader.splice(0)) {
        const frame = decoded(bytes);
        if (frame.kind === "ack") sender.onAck(frame);
        if (frame.kind === "refuse") sender.onRefuse(frame);
      }
    },
    settle: () => {
      for (let isBusy = true; isBusy; ) {
        isBusy = sender.turn() && !world.laneFull;
        world.receiver?.turn();
        isBusy ||= toPeer.length + toLeader.length + deferred.length > 0;
        world.deliver();
        world.runDeferred();
      }
    },
  };
  return world;
}

function receive(world: World, frame: ImageFrame): void {
  const { receiver } = world;
  if (frame.kind === "offer" && receiver === undefined) world.receiver = receiverOf(world, frame);
  else if (frame.kind === "offer") receiver?.onRepeat();
  else if (frame.kind === "chunk") receiver?.onChunk(frame);
  else if (frame.kind === "end") receiver?.onEnd(frame);
}

function receiverOf({ home, toLeader }: World, offer: OfferFrame): ImageReceiver {
  return new ImageReceiver({
    from: MemberId(1n),
    offer,
    incoming: home.begin(),
    send: (frame) => void toLeader.push(frame),
    wake: () => {},
    clock: { nowMs: () => 0 },
  });
}

const stepOf = ({ receiver }: World): string | undefined => receiver?.step;

const rowsOf = (count: number, valueBytes: number): readonly TableRow[] =>
  Array.from({ length: count }, (_, i) => ({
    table: Table.key,
    key: Buffer.from(`k${String(i).padStart(6, "0")}`),
    value: Buffer.alloc(valueBytes, i),
  }));

test("all rows arrive, and the store that was built takes the place of the old one", () => {
  const world = worldWith(rowsOf(3_000, 2_000));
  assert.equal(world.sender.isReading, true);
  world.settle();
  // Nothing of the store is needed any more, though the peer is not done.
  assert.deepEqual([world.sender.isReading, world.sender.end], [false, undefined]);
  assert.equal(world.receiver?.step, "finished");
  world.receiver.take();
  let error: Error | undefined | "none" = "none";
  world.receiver.commit((each) => {
    error = each;
  });
  world.settle();
  assert.equal(error, undefined);
  world.receiver.close();
  world.settle();
  assert.deepEqual(world.sender.end, { kind: "done" });
  let count = 0;
  world.home.engine.scan({ table: Table.key, from: Buffer.of(0) }, () => ++count > 0);
  assert.equal(count, 3_000);
});

test("a turn hands over few frames and reads few rows; a window bounds what is not acknowledged", () => {
  const world = worldWith(rowsOf(60, 200_000));
  world.sender.turn();
  assert.equal(world.toPeer.length, 1, "first the offer alone");
  world.deliver();
  world.receiver?.turn();
  world.deliver();
  let sent = 0;
  for (let turn = 0; turn < 100; turn++) {
    const before = world.toPeer.length;
    world.sender.turn();
    assert.ok(world.toPeer.length - before <= framesPerTurnMax);
    sent = world.toPeer.length;
  }
  assert.equal(sent, windowFramesMax);
  const small = worldWith(rowsOf(5 * rowsPerTurnMax, 1));
  small.sender.turn();
  small.deliver();
  small.receiver?.turn();
  small.deliver();
  assert.equal(small.sender.turn(), true, "more rows are to be read");
  assert.equal(small.toPeer.length, 0, "a chunk is not full yet");
});

test("a sender whose disk is slow reads a few rows in a turn, and loses none", () => {
  const rowMs = 3;
  const budgetMs = 10;
  let nowMs = 0;
  const slow = (rows: PinnedRows): PinnedRows => ({
    ...{ isOpen: true, get: (table, key) => rows.get(table, key) },
    ...{ rewind: () => rows.rewind(), close: () => rows.close() },
    next: (visit) =>
      rows.next((row) => {
        nowMs += rowMs;
        return visit(row);
      }),
  });
  const world = worldWith(rowsOf(3_000, 1), { slow });
  let turns = 0;
  const { turn } = world.sender;
  world.sender.turn = () => {
    turns++;
    const untilMs = nowMs + budgetMs;
    const more = turn.call(world.sender, () => nowMs < untilMs);
    assert.ok(nowMs <= untilMs + rowMs, `a turn took ${nowMs - untilMs + budgetMs} ms`);
    return more;
  };
  world.settle();
  assert.equal(stepOf(world), "finished");
  assert.ok(turns > 700, `${turns} turns`);
});

test("a lane that is full is asked again, and nothing is lost", () => {
  const world = worldWith(rowsOf(100, 20_000));
  world.laneFull = true;
  world.settle();
  assert.equal(world.receiver?.step, undefined);
  world.laneFull = false;
  world.settle();
  assert.equal(stepOf(world), "finished");
});

test("what was lost is sent again from where the peer is, and no more of it", () => {
  const world = worldWith(rowsOf(60, 200_000));
  let count = 0;
  const dropped = 4;
  const { deliver } = world;
  world.deliver = () => {
    const before = count;
    count += world.toPeer.length;
    if (before < dropped && count >= dropped) world.toPeer.splice(dropped - 1 - before, 1);
    deliver();
  };
  world.settle();
  assert.equal(stepOf(world), "building");
  const sentBytes = world.sender.sentBytes;
  for (let i = 0; i < 10; i++) world.sender.tick();
  world.settle();
  assert.equal(stepOf(world), "finished");
  assert.ok(world.sender.sentBytes > sentBytes);
});

test("a peer that is silent, or gets no further, is given up", () => {
  const silent = worldWith(rowsOf(1, 1));
  silent.sender.turn();
  for (let i = 0; i <= silentTicksMax; i++) silent.sender.tick();
  assert.deepEqual(silent.sender.end, { kind: "failed", why: "the peer is silent" });
  const stuck = worldWith(rowsOf(1, 1));
  for (let i = 0; i <= stalledTicksMax; i++) {
    stuck.sender.onAck({ kind: "ack", transfer: 5, next: 0, got: 0, done: false });
    stuck.sender.tick();
  }
  assert.deepEqual(stuck.sender.end, { kind: "failed", why: "the peer gets no further" });
});

test("an ack of frames that never left is no ack", () => {
  const world = worldWith(rowsOf(1, 1));
  world.sender.turn();
  world.sender.onAck({ kind: "ack", transfer: 5, next: 3, got: 3, done: false });
  world.sender.turn();
  assert.equal(world.toPeer.length, 1, "still nothing but the offer");
});

test("a leader that falls silent is given up; one whose image is whole is not needed", () => {
  const world = worldWith(rowsOf(60, 200_000));
  world.sender.turn();
  world.deliver();
  for (let i = 0; i <= silentTicksMax; i++) world.receiver?.tick();
  assert.equal(world.receiver?.step, "over");
  world.home.begin().abandon();
  const whole = worldWith(rowsOf(1, 1));
  whole.settle();
  for (let i = 0; i <= silentTicksMax; i++) whole.receiver?.tick();
  assert.equal(whole.receiver?.step, "finished");
});

const isChunk = (bytes: Uint8Array): boolean => decoded(bytes).kind === "chunk";
const damages = [
  {
    name: "a chunk with other rows in it",
    change: (bytes: Uint8Array) => {
      if (!isChunk(bytes)) return bytes;
      const frame = Buffer.from(bytes);
      frame[frame.length - 1] = 99;
      sealChunk(frame, { transfer: 5, sequence: 1 });
      return frame;
    },
  },
  {
    name: "an end that counts one row more",
    change: (bytes: Uint8Array) => {
      const frame = decoded(bytes);
      return frame.kind === "end" ? encodeImageFrame({ ...frame, rows: frame.rows + 1 }) : bytes;
    },
  },
  {
    name: "a chunk that is no rows",
    change: (bytes: Uint8Array) => {
      if (!isChunk(bytes)) return bytes;
      const frame = Buffer.from(bytes);
      frame[20] = 77;
      sealChunk(frame, { transfer: 5, sequence: 1 });
      return frame;
    },
  },
];
for (const { name, change } of damages) {
  test(`found out under right checksums: ${name}`, () => {
    const world = worldWith(rowsOf(3, 100));
    world.change = change;
    world.settle();
    assert.equal(world.receiver?.step, "over");
    assert.equal(world.sender.end?.kind, "failed");
    world.home.begin().abandon();
  });
}

for (const failing of ["add", "finish"] as const) {
  test(`a disk that fails ${failing} ends the transfer, not the member`, () => {
    const failingHome = (deferred: (() => void)[]): StoreHome => {
      const home = new MemoryStoreHome({ defer: (run) => void deferred.push(run) });
      return {
        get engine() {
          return home.engine;
        },
        close: () => home.close(),
        begin: () => {
          const incoming = home.begin();
          const fail = (done: (error: Error | undefined) => void): void =>
            void deferred.push(() => done(new Error("EIO")));
          return {
            add: (rows, done) => (failing === "add" ? fail(done) : incoming.add(rows, done)),
            finish: (at, done) => (failing === "finish" ? fail(done) : incoming.finish(at, done)),
            change: (batch, done) => incoming.change(batch, done),
            commit: (done) => incoming.commit(done),
            replace: (done) => incoming.replace(done),
            abandon: () => incoming.abandon(),
          };
        },
      };
    };
    const world = worldWith(rowsOf(3, 100), { home: failingHome });
    world.settle();
    assert.equal(world.receiver?.step, "over");
    assert.equal(world.receiver.why, "EIO");
    assert.equal(world.sender.end?.kind, "failed");
    world.home.begin().abandon();
  });
}
