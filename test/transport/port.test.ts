// PortLink beyond the contract: replaced ports, small frames against the bound, odd messages.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { MemberId } from "../../src/base/brand.ts";
import { frameOverheadBytes, PortLink } from "../../src/transport/port.ts";
import { postBytes, transferBytesMin } from "../../src/transport/postBytes.ts";
import { turnsUntil } from "../support/turns.ts";

const peer = MemberId(2n);

function linkAndPort(t: TestContext, backlogBytesMax = 1_000_000): [PortLink, MessagePort] {
  const link = new PortLink({ backlogBytesMax });
  const { port1, port2 } = new MessageChannel();
  link.attach(peer, port1);
  t.after(() => {
    link.close();
    port2.close();
  });
  return [link, port2];
}

test("many small frames reach the bound as a few large ones do", (t) => {
  const [link] = linkAndPort(t, 100 * frameOverheadBytes);
  for (let i = 0; i < 1_000; i++) link.send(peer, Uint8Array.of(i));
  assert.ok(link.counters.droppedFrames > 890, `${link.counters.droppedFrames} dropped`);
});

test("an acknowledgement makes room, an absurd one does not", async (t) => {
  const [link, port] = linkAndPort(t, 10_000);
  const sendsNow = (): boolean => {
    const before = link.counters.droppedFrames;
    link.send(peer, new Uint8Array(20_000));
    return link.counters.droppedFrames === before;
  };
  assert.equal(sendsNow(), true);
  for (const absurd of [1e9, -1, Number.NaN, Number.POSITIVE_INFINITY]) port.postMessage(absurd);
  port.postMessage("marker");
  await turnsUntil(() => link.counters.badFrames === 1, "all were seen");
  assert.equal(sendsNow(), false);
  port.postMessage(20_000 + frameOverheadBytes);
  await turnsUntil(sendsNow, "there is room");
});

test("what is no frame is counted and hurts nobody", async (t) => {
  const [link, port] = linkAndPort(t);
  const frames: Uint8Array[] = [];
  link.onFrame = (_from, frame) => frames.push(frame);
  for (const odd of ["text", { length: 3 }, null, [1], 7n]) port.postMessage(odd);
  port.postMessage(Uint8Array.of(9));
  await turnsUntil(() => frames.length === 1, "the frame arrives");
  assert.equal(link.counters.badFrames, 5);
});

test("a replaced port is closed and its late frames are ignored", async (t) => {
  const [link, old] = linkAndPort(t);
  const frames: number[] = [];
  link.onFrame = (_from, frame) => frames.push(frame[0] ?? -1);
  old.postMessage(Uint8Array.of(1));
  let closed = false;
  old.on("close", () => {
    closed = true;
  });
  const { port1, port2 } = new MessageChannel();
  t.after(() => port2.close());
  link.attach(peer, port1);
  port2.postMessage(Uint8Array.of(2));
  await turnsUntil(() => closed && frames.length > 0, "the new one is heard");
  assert.deepEqual(frames, [2]);
  assert.ok(link.connected(peer));
});

test("bytes are transferred from the measured size on, and only when they fill their buffer", async () => {
  const rows = [
    { bytes: new Uint8Array(transferBytesMin - 1), gone: false, why: "small" },
    { bytes: new Uint8Array(transferBytesMin), gone: true, why: "large" },
    { bytes: new Uint8Array(9_000).subarray(0, 5_000), gone: false, why: "a view" },
    { bytes: Buffer.alloc(9_000).subarray(1), gone: false, why: "a Buffer's view" },
  ];
  for (const { bytes, gone, why } of rows) {
    const lengthBytes = bytes.length;
    const { port1, port2 } = new MessageChannel();
    const arrived = new Promise<Uint8Array>((resolve) => port2.once("message", resolve));
    postBytes(port1, bytes);
    const received = await arrived;
    assert.equal(bytes.length === 0, gone, why);
    assert.equal(received.byteLength, lengthBytes, why);
    assert.equal(received.buffer.byteLength, lengthBytes, `${why}: nothing else travels`);
    port1.close();
  }
});

test("a muted peer is sent nothing over any port, and is still heard", async (t) => {
  const [link, port] = linkAndPort(t);
  const heard: number[] = [];
  link.onFrame = (_from, frame) => heard.push(frame[0] ?? -1);
  const arrived: unknown[] = [];
  port.on("message", (message) => arrived.push(message));
  link.mute(new Set([peer]));
  for (let i = 0; i < 5; i++) link.send(peer, Uint8Array.of(i));
  port.postMessage(Uint8Array.of(7));
  await turnsUntil(() => heard.length === 1, "the frame of the peer arrives");
  assert.equal(link.counters.droppedFrames, 5);
  link.mute(new Set([MemberId(3n)]));
  link.send(peer, Uint8Array.of(9));
  await turnsUntil(() => arrived.length === 1, "others may be muted");
  assert.deepEqual(arrived, [Uint8Array.of(9)]);
});
