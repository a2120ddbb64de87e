// What every PeerLink promises, whatever carries the frames.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { MemberId } from "../../src/base/brand.ts";
import { silentLog } from "../../src/base/ports.ts";
import { Prng } from "../../src/base/prng.ts";
import type { LinkCounters, PeerLink } from "../../src/transport/link.ts";
import { MixedLink } from "../../src/transport/mixed.ts";
import { listenForPeers } from "../../src/transport/peerListener.ts";
import { PortLink } from "../../src/transport/port.ts";
import { SocketLink } from "../../src/transport/socket.ts";
import { turnsUntil } from "../support/turns.ts";

type CountingLink = PeerLink & { readonly counters: LinkCounters };

/** Two members, 1 and 2, that can reach one another once `connect` resolved. */
interface Pair {
  readonly one: CountingLink;
  readonly two: CountingLink;
  connect(): Promise<void>;
  /** Cuts the connection as the death of member 2 would, and comes back with a new one. */
  reconnect(): Promise<void>;
  close(): Promise<void>;
}

const first = MemberId(1n);
const second = MemberId(2n);
const stranger = MemberId(3n);
const backlogBytesMax = 262_144;

async function portPair(): Promise<Pair> {
  return joinedByPorts(new PortLink({ backlogBytesMax }), new PortLink({ backlogBytesMax }));
}

type AttachableLink = CountingLink & Pick<PortLink, "attach">;

function joinedByPorts(one: AttachableLink, two: AttachableLink): Pair {
  const connect = async (): Promise<void> => {
    const { port1, port2 } = new MessageChannel();
    one.attach(second, port1);
    two.attach(first, port2);
  };
  return {
    one,
    two,
    connect,
    reconnect: async () => {
      two.close();
      await turnsUntil(() => !one.connected(second), "the port closes");
      await connect();
    },
    close: async () => {
      one.close();
      two.close();
    },
  };
}

const socketLimits = { backlogBytesMax, redialMsMin: 1, redialMsMax: 4 };
const socketLinkOf = (id: MemberId): SocketLink =>
  new SocketLink({
    self: { clusterId: 9n, id },
    random: new Prng(7),
    log: silentLog,
    limits: socketLimits,
  });

async function socketPair(): Promise<Pair> {
  const two = socketLinkOf(second);
  return joinedBySockets(socketLinkOf(first), two, {
    acceptor: two,
    disconnect: () => two.removePeer(first),
  });
}

type DiallingLink = CountingLink & Pick<SocketLink, "setPeer">;

async function joinedBySockets(
  one: DiallingLink,
  two: DiallingLink,
  { acceptor, disconnect }: { acceptor: SocketLink; disconnect: () => void },
): Promise<Pair> {
  const listener = await listenForPeers(acceptor, { host: "127.0.0.1", port: 0 });
  const address = `ws://127.0.0.1:${listener.port}`;
  const bothConnected = (): boolean => one.connected(second) && two.connected(first);
  return {
    one,
    two,
    connect: async () => {
      two.setPeer(first, "http://127.0.0.1:1");
      one.setPeer(second, address);
      await turnsUntil(bothConnected, "the connection opens");
    },
    reconnect: async () => {
      disconnect();
      await turnsUntil(() => !one.connected(second), "the connection breaks");
      two.setPeer(first, "http://127.0.0.1:1");
      await turnsUntil(bothConnected, "the connection opens again");
    },
    close: async () => {
      one.close();
      two.close();
      await listener.close();
    },
  };
}

const mixedLinkOf = (sockets: SocketLink): MixedLink =>
  new MixedLink(new PortLink({ backlogBytesMax }), sockets);

async function mixedPortPair(): Promise<Pair> {
  return joinedByPorts(mixedLinkOf(socketLinkOf(first)), mixedLinkOf(socketLinkOf(second)));
}

async function mixedSocketPair(): Promise<Pair> {
  const acceptor = socketLinkOf(second);
  return joinedBySockets(mixedLinkOf(socketLinkOf(first)), mixedLinkOf(acceptor), {
    acceptor,
    disconnect: () => acceptor.removePeer(first),
  });
}

/** A frame of its own memory whose first four bytes are `number`. */
function frameOf(number: number, lengthBytes = 4): Uint8Array {
  const frame = Buffer.allocUnsafeSlow(lengthBytes).fill(number % 251);
  frame.writeUInt32LE(number, 0);
  return frame;
}
const numberOf = (frame: Uint8Array): number =>
  new DataView(frame.buffer, frame.byteOffset).getUint32(0, true);

function collect(link: PeerLink): Uint8Array[] {
  const frames: Uint8Array[] = [];
  link.onFrame = (_from, frame) => frames.push(frame);
  return frames;
}

for (const { name, open } of [
  { name: "ports", open: portPair },
  { name: "sockets", open: socketPair },
  { name: "ports of a mixed link", open: mixedPortPair },
  { name: "sockets of a mixed link", open: mixedSocketPair },
]) {
  suite(`a link over ${name}`, () => {
    test("delivers in order, both ways, with the sender's id", async (t) => {
      const pair = await open();
      t.after(pair.close);
      await pair.connect();
      const senders = new Set<MemberId>();
      const received: number[] = [];
      pair.two.onFrame = (from, frame) => {
        senders.add(from);
        received.push(numberOf(frame));
      };
      const back = collect(pair.one);
      for (let i = 0; i < 200; i++) pair.one.send(second, frameOf(i, 4 + (i % 7) * 100));
      pair.two.send(first, frameOf(77));
      await turnsUntil(() => received.length === 200 && back.length === 1, "all arrive");
      assert.deepEqual(
        received,
        Array.from({ length: 200 }, (_, i) => i),
      );
      assert.deepEqual([...senders], [first]);
      assert.deepEqual(back.map(numberOf), [77]);
      assert.equal(pair.one.counters.droppedFrames, 0);
    });

    test("delivers frames of many sizes byte for byte", async (t) => {
      const pair = await open();
      t.after(pair.close);
      await pair.connect();
      const received = collect(pair.two);
      const sizes = [4, 63, 64, 65, 1_023, 1_024, 65_535, 65_536, 8 * 1_048_576];
      for (const [i, size] of sizes.entries()) {
        pair.one.send(second, frameOf(i, size));
        await turnsUntil(() => received.length === i + 1, `${size} bytes arrive`);
        assert.ok(Buffer.compare(received[i] ?? Buffer.of(), frameOf(i, size)) === 0, `${size}`);
      }
    });

    test("gives small frames memory of their own", async (t) => {
      const pair = await open();
      t.after(pair.close);
      await pair.connect();
      const received = collect(pair.two);
      for (let i = 0; i < 50; i++) pair.one.send(second, frameOf(i, 300));
      await turnsUntil(() => received.length === 50, "all arrive");
      for (const frame of received)
        assert.ok(frame.buffer.byteLength <= 600, "pins a larger array");
    });

    test("bulk: refuses when much is on its way, takes more when that arrived, loses nothing", async (t) => {
      const pair = await open();
      t.after(pair.close);
      assert.equal(pair.one.sendBulk(second, frameOf(0)), false, "no peer yet");
      await pair.connect();
      assert.equal(pair.one.sendBulk(stranger, frameOf(0)), false);
      const received = collect(pair.two);
      // Bulk may have a connection of its own, which comes later.
      await turnsUntil(() => pair.one.sendBulk(second, frameOf(0, 262_144)), "the lane opens");
      let sent = 1;
      for (let round = 0; round < 3; round++) {
        const before = sent;
        while (sent - before < 200 && pair.one.sendBulk(second, frameOf(sent, 262_144))) sent++;
        assert.ok(sent > before && sent - before < 200, `round ${round} took ${sent - before}`);
        await turnsUntil(() => received.length === sent, "all arrive");
        // Word of their arrival may be on its way yet.
        await turnsUntil(() => pair.one.sendBulk(second, frameOf(sent, 262_144)), "the lane opens");
        sent++;
      }
      await turnsUntil(() => received.length === sent, "the last arrives");
      assert.deepEqual(
        received.map(numberOf),
        Array.from({ length: sent }, (_, i) => i),
      );
      assert.ok(received.every((frame) => frame.length === 262_144));
      assert.equal(pair.one.counters.droppedFrames, 0, "what was refused is not lost");
    });

    test("drops in silence what has nowhere to go", async (t) => {
      const pair = await open();
      t.after(pair.close);
      assert.equal(pair.one.connected(second), false);
      pair.one.send(second, frameOf(1));
      await pair.connect();
      pair.one.send(stranger, frameOf(2));
      assert.equal(pair.one.counters.droppedFrames, 2);
      assert.equal(pair.one.connected(stranger), false);
      const received = collect(pair.two);
      pair.one.send(second, frameOf(3));
      await turnsUntil(() => received.length === 1, "the third arrives");
      assert.deepEqual(received.map(numberOf), [3]);
    });

    test("works again after the connection was lost, and repeats nothing", async (t) => {
      const pair = await open();
      t.after(pair.close);
      await pair.connect();
      const received = collect(pair.two);
      pair.one.send(second, frameOf(1));
      await turnsUntil(() => received.length === 1, "the first arrives");
      await pair.reconnect();
      pair.one.send(second, frameOf(2));
      await turnsUntil(() => received.length === 2, "the second arrives");
      assert.deepEqual(received.map(numberOf), [1, 2]);
    });

    test("keeps a bounded backlog for a peer that does not read, then goes on", async (t) => {
      const pair = await open();
      t.after(pair.close);
      await pair.connect();
      const received = collect(pair.two);
      // The peer cannot read within this turn. The kernel may take some megabytes of a socket.
      const frameBytes = 65_536;
      let sent = 0;
      while (pair.one.counters.droppedFrames < 10 && sent < 1_000) {
        pair.one.send(second, frameOf(sent++, frameBytes));
      }
      assert.equal(pair.one.counters.droppedFrames, 10, "the bound was reached");
      await turnsUntil(() => received.length === sent - 10, "what was taken arrives");
      const sendsAgain = (): boolean => {
        const { droppedFrames } = pair.one.counters;
        pair.one.send(second, frameOf(4_000));
        return pair.one.counters.droppedFrames === droppedFrames;
      };
      await turnsUntil(sendsAgain, "there is room again");
      await turnsUntil(() => received.length === sent - 9, "the last arrives");
      assert.equal(numberOf(received.at(-1) ?? frameOf(0)), 4_000);
    });

    test("leaves no handle behind when closed, and ignores later sends", async (t) => {
      const before = handles();
      const pair = await open();
      t.after(pair.close);
      await pair.connect();
      pair.one.send(second, frameOf(1));
      await pair.close();
      await turnsUntil(
        () => handles() <= before,
        `handles go: ${process.getActiveResourcesInfo()}`,
      );
      pair.one.send(second, frameOf(2));
      assert.equal(pair.one.connected(second), false);
    });
  });
}

test("a mixed link reaches one peer by a port and another by a socket, and lets them move", async (t) => {
  const third = MemberId(3n);
  const acceptor = socketLinkOf(third);
  const listener = await listenForPeers(acceptor, { host: "127.0.0.1", port: 0 });
  const one = mixedLinkOf(socketLinkOf(first));
  const near = new PortLink();
  const movedHere = new PortLink();
  t.after(async () => {
    for (const link of [one, near, movedHere, acceptor]) link.close();
    await listener.close();
  });
  const heard: MemberId[] = [];
  one.onFrame = (from) => heard.push(from);
  const received = { near: collect(near), far: collect(acceptor) };
  const ports = new MessageChannel();
  one.attach(second, ports.port1);
  near.attach(first, ports.port2);
  acceptor.setPeer(first, "ws://127.0.0.1:1");
  one.setPeer(third, `ws://127.0.0.1:${listener.port}`);
  await turnsUntil(() => one.connected(third) && acceptor.connected(first), "the socket opens");
  one.send(second, frameOf(2));
  one.send(third, frameOf(3));
  near.send(first, frameOf(4));
  acceptor.send(first, frameOf(5));
  await turnsUntil(() => heard.length === 2, "both are heard");
  await turnsUntil(() => received.near.length + received.far.length === 2, "both hear");
  assert.deepEqual(received.near.map(numberOf), [2]);
  assert.deepEqual(received.far.map(numberOf), [3]);
  assert.deepEqual(new Set(heard), new Set([second, third]));

  const moved = new MessageChannel();
  one.attach(third, moved.port1);
  movedHere.attach(first, moved.port2);
  const receivedHere = collect(movedHere);
  await turnsUntil(() => !acceptor.connected(first), "the socket closes");
  one.send(third, frameOf(6));
  await turnsUntil(() => receivedHere.length === 1, "the port is used");
  one.setPeer(second, "ws://127.0.0.1:1");
  await turnsUntil(() => !near.connected(first), "the port closes");
  assert.equal(one.connected(second), false);
});

function handles(): number {
  const ours = /MessagePort|TCP|Pipe|Timeout|Immediate/;
  return process.getActiveResourcesInfo().filter((name) => ours.test(name) && name !== "Immediate")
    .length;
}
