// Streams from another thread: both directions, credit, bounds, and what ends them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Term } from "../../src/base/brand.ts";
import { type EtcdError, errNoLeader, StatusCode } from "../../src/base/errors.ts";
import type { ClientStream, StreamOptions } from "../../src/client/channel.ts";
import { LaneChannel } from "../../src/client/laneChannel.ts";
import { turnsUntil } from "../support/turns.ts";
import {
  attach,
  bytes,
  echo,
  FakeMember,
  type FakeStream,
  failsWith,
  first,
  put,
  second,
  text,
  watchPath,
  world,
} from "./fakeMember.ts";

interface OpenStream {
  readonly stream: ClientStream;
  readonly heard: string[];
  /** Undefined: it goes on. */
  readonly end: () => { readonly error: EtcdError | undefined } | undefined;
}

function openStream(client: LaneChannel, options: StreamOptions = {}): OpenStream {
  const heard: string[] = [];
  let end: { error: EtcdError | undefined } | undefined;
  const reader = {
    onMessage: (message: Uint8Array) => void heard.push(text(message)),
    onEnd: (error: EtcdError | undefined) => {
      end = { error };
    },
  };
  return { stream: client.stream(watchPath, reader, options), heard, end: () => end };
}

/** The member's side of the stream that was opened last. */
async function accepted(member: FakeMember | undefined, count = 1): Promise<FakeStream> {
  await turnsUntil(() => member?.streams.length === count, "the stream arrives");
  const stream = member?.streams.at(-1);
  assert.ok(stream);
  return stream;
}

test("a stream speaks and listens; either side ends it", async (t) => {
  const { client, members } = world(t, [echo]);
  const { stream, heard, end } = openStream(client);
  const shared = Buffer.from("one");
  stream.send(shared);
  shared.write("two");
  stream.send(shared);
  const { call, heard: asked } = await accepted(members[0]);
  await turnsUntil(() => asked.length === 2, "both messages arrive");
  assert.deepEqual(asked, ["one", "two"]);
  assert.ok(call.write(bytes("a")) && call.write(bytes("")));
  await turnsUntil(() => heard.length === 2, "the answers arrive");
  assert.deepEqual(heard, ["a", ""]);
  stream.halfClose();
  stream.send(bytes("too late"));
  await turnsUntil(() => asked.length === 3, "the half-close arrives");
  call.write(bytes("last"));
  call.end();
  assert.equal(call.write(bytes("after")), false);
  await turnsUntil(() => end() !== undefined, "the end arrives");
  assert.deepEqual(
    [heard.at(-1), end(), asked],
    ["last", { error: undefined }, ["one", "two", "half-close"]],
  );
  const cancelled = openStream(client);
  const other = await accepted(members[0], 2);
  cancelled.stream.cancel();
  await turnsUntil(() => other.call.cancelled, "the member hears of it");
  assert.deepEqual([other.heard, cancelled.end()], [["cancel"], undefined]);
  const failed = openStream(client);
  (await accepted(members[0], 3)).call.fail(errNoLeader);
  await turnsUntil(() => failed.end() !== undefined, "the failure arrives");
  assert.equal(failed.end()?.error?.message, errNoLeader.message);
});

test("a stream that is not read stops its member, and nothing else", async (t) => {
  const { client, members } = world(t, [echo]);
  const windowBytes = 10_000;
  const { stream, heard } = openStream(client, { windowBytes });
  stream.pause();
  const { call, heard: said } = await accepted(members[0]);
  const message = new Uint8Array(1_000).fill(0x61);
  let written = 0;
  while (call.write(message)) written++;
  assert.equal(written, 9, "the tenth was sent and used up the window");
  assert.ok(call.backlogBytes < message.length);
  assert.equal(text(await client.unary(put, bytes("others"))), "others");
  await turnsUntil(() => heard.length === 10, "what was sent arrives");
  assert.deepEqual(said, []);
  stream.resume();
  await turnsUntil(() => said.length === 1, "the member may go on");
  assert.deepEqual(said, ["drain"]);
  assert.ok(call.write(message));
});

test("a method that goes on without credit is ended at a bound", async (t) => {
  const { client, members } = world(t, [echo]);
  const { stream, end } = openStream(client, { windowBytes: 1 });
  stream.pause();
  const { call, heard } = await accepted(members[0]);
  const message = new Uint8Array(8 << 20);
  let messages = 0;
  while (!call.cancelled) {
    call.write(message);
    messages++;
  }
  assert.equal(messages, 8, "64 MiB");
  await turnsUntil(() => end() !== undefined, "the client hears of it");
  assert.equal(end()?.error?.code, StatusCode.resourceExhausted);
  await turnsUntil(() => heard.length === 1, "so does the method");
  assert.deepEqual(heard, ["cancel"]);
});

test("streams end with their member, with a signal, and with the client", async (t) => {
  const { client, members } = world(t, [echo, echo]);
  const lost = openStream(client);
  await accepted(members[0]);
  members[0]?.port?.close();
  await turnsUntil(() => lost.end() !== undefined, "the loss is told");
  assert.equal(lost.end()?.error?.code, StatusCode.unavailable);
  const abort = new AbortController();
  const aborted = openStream(client, { signal: abort.signal });
  const { call } = await accepted(members[1]);
  abort.abort();
  assert.equal(aborted.end()?.error?.code, StatusCode.canceled);
  await turnsUntil(() => call.cancelled, "the member hears of it");
  const open = openStream(client);
  await accepted(members[1], 2);
  client.close();
  assert.equal(open.end()?.error?.message, "etcdserver: server stopped");
  const late = openStream(client);
  await turnsUntil(() => late.end() !== undefined, "a closed channel opens nothing");
});

test("streams that follow the leader move when a later term has another one", async (t) => {
  const { client, members } = world(t, [echo, echo]);
  members[0]?.door.tellLeader(first, Term(2));
  await turnsUntil(() => client.leader === first, "the leader is heard of");
  const stays = openStream(client);
  const follows = openStream(client, { followsLeader: true });
  await accepted(members[0], 2);
  assert.equal(members[0]?.streams[1]?.call.metadata("hasleader"), "true");
  members[1]?.door.tellLeader(second, Term(1));
  await client.unary(put, bytes("old news"));
  assert.equal(client.leader, first, "an earlier term tells nothing");
  members[1]?.door.tellLeader(second, Term(3));
  await turnsUntil(() => follows.end() !== undefined, "the follower ends");
  assert.equal(follows.end()?.error?.code, StatusCode.unavailable);
  assert.equal(stays.end(), undefined);
  openStream(client, { followsLeader: true });
  await accepted(members[1]);
});

test("bounds of streams: count here and there, and no credit above the limit", async (t) => {
  const { client, members } = world(t, [echo], { streamsMax: 1 });
  openStream(client);
  await accepted(members[0]);
  const refused = openStream(client);
  await turnsUntil(() => refused.end() !== undefined, "one too many");
  assert.match(refused.end()?.error?.message ?? "", /too many requests/);
  const unary = client.unary(watchPath, bytes(""));
  await assert.rejects(unary, failsWith(StatusCode.unimplemented, /is a stream/));
  const greedy = new LaneChannel();
  t.after(() => greedy.close());
  const member = new FakeMember(echo);
  t.after(() => member.door.close());
  attach(greedy, first, member);
  member.serve();
  const { end } = openStream(greedy, { windowBytes: 0xffff_ffff });
  await turnsUntil(() => end() !== undefined, "the door closes the client");
  assert.equal(member.streams.length, 0);
});
