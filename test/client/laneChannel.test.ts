// Calls from another thread: batches, bounds, deadlines, and what happens when members die.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Term } from "../../src/base/brand.ts";
import { errNoLeader, StatusCode } from "../../src/base/errors.ts";
import { LaneChannel } from "../../src/client/laneChannel.ts";
import type { UnaryMethod } from "../../src/grpc/call.ts";
import { turnsUntil } from "../support/turns.ts";
import {
  attach,
  bytes,
  echo,
  FakeMember,
  failsWith,
  first,
  put,
  range,
  second,
  silent,
  text,
  world,
} from "./fakeMember.ts";

test("the calls of a turn travel together and each gets its own answer", async (t) => {
  const { client, members } = world(t, [echo]);
  const names = Array.from({ length: 500 }, (_, i) => `call ${i}`);
  const answers = await Promise.all(names.map((name) => client.unary(put, bytes(name))));
  assert.deepEqual(answers.map(text), names);
  assert.deepEqual(members[0]?.asked, names);
  // One for the greeting, one for the answers of the turn.
  assert.ok((members[0]?.flushes ?? 9) <= 2, `flushed ${members[0]?.flushes} times`);
});

test("a message may be reused once the call was made, and may be huge or empty", async (t) => {
  const { client } = world(t, [echo]);
  const shared = Buffer.from("one");
  const one = client.unary(put, shared);
  shared.write("two");
  const two = client.unary(put, shared);
  const huge = new Uint8Array(5_000_000).fill(7);
  const [a, b, c, d] = await Promise.all([
    one,
    two,
    client.unary(put, huge),
    client.unary(put, new Uint8Array()),
  ]);
  assert.deepEqual([text(a), text(b), d.length], ["one", "two", 0]);
  assert.equal(Buffer.compare(c, huge), 0);
});

test("a long answer comes in parts, others overtake it, and nobody sends what nobody wants", async (t) => {
  const parts = Array.from({ length: 200 }, (_, i) => new Uint8Array(5_000).fill(i));
  const { client, members } = world(t, [
    (call, message) =>
      text(message) === "long" ? call.respondInParts(parts) : call.respond(message),
  ]);
  const order: string[] = [];
  const ask = async (what: string, signal?: AbortSignal): Promise<Uint8Array> => {
    const answer = await client.unary(put, bytes(what), signal && { signal });
    order.push(what);
    return answer;
  };
  const two = [ask("long"), ask("long")];
  const few = ask("few");
  for (const answer of await Promise.all(two)) {
    assert.equal(Buffer.compare(answer, Buffer.concat(parts)), 0);
  }
  await few;
  assert.deepEqual(order, ["few", "long", "long"]);
  const [member] = members;
  assert.ok(member);
  const whole = member.flushes;
  assert.ok(whole >= 2 * parts.length, `${whole} flushes`);
  const ending = new AbortController();
  const given = ask("long", ending.signal);
  await turnsUntil(() => member.flushes > whole + 3, "some parts are sent");
  ending.abort();
  await assert.rejects(given);
  await ask("after");
  assert.ok(member.flushes < whole + parts.length, `${member.flushes - whole} flushes`);
});

test("refusals keep code and text; unknown methods are told as gRPC does", async (t) => {
  const { client } = world(t, [(call) => call.fail(errNoLeader)]);
  await assert.rejects(client.unary(put, bytes("x")), errNoLeader);
  const rows = [
    {
      path: "/etcdserverpb.KV/Nothing",
      why: /^unknown method Nothing for service etcdserverpb.KV$/,
    },
    { path: "/nobody.Home/Ring", why: /^unknown service nobody.Home$/ },
  ];
  for (const { path, why } of rows) {
    const failed = client.unary(path, bytes(""));
    await assert.rejects(failed, failsWith(StatusCode.unimplemented, why));
  }
});

test("what is asked before a member serves is answered once it does", async (t) => {
  const client = new LaneChannel();
  const member = new FakeMember(echo);
  t.after(() => member.door.close());
  t.after(() => client.close());
  attach(client, first, member);
  const early = client.unary(put, bytes("early"));
  await new Promise(setImmediate);
  assert.equal(member.asked.length, 0);
  member.serve();
  assert.equal(text(await early), "early");
});

test("the leader is preferred as soon as it is known", async (t) => {
  const { client, members } = world(t, [echo, echo]);
  await client.unary(put, bytes("anyone"));
  members[0]?.door.tellLeader(second, Term(1));
  await turnsUntil(() => client.leader === second, "the leader is heard of");
  await client.unary(put, bytes("leader"));
  assert.deepEqual(members[1]?.asked, ["leader"]);
});

test("when a member dies, reads are asked elsewhere and writes fail as unknown", async (t) => {
  const { client, members } = world(t, [silent, echo]);
  const read = client.unary(range, bytes("read"));
  const write = client.unary(put, bytes("write"));
  const judged = assert.rejects(
    write,
    failsWith(StatusCode.unavailable, /possibly due to connection lost/),
  );
  await turnsUntil(() => members[0]?.asked.length === 2, "the member has both");
  members[0]?.port?.close();
  assert.equal(text(await read), "read");
  await judged;
  assert.deepEqual(members[1]?.asked, ["read"], "the write was not repeated");
  assert.equal(text(await client.unary(put, bytes("next"))), "next");
});

test("a member without a leader is asked after the others, and its reads go to them", async (t) => {
  const leaderless: UnaryMethod = (call) => call.fail(errNoLeader);
  const { client, members } = world(t, [leaderless, echo]);
  assert.equal(text(await client.unary(range, bytes("read"))), "read");
  assert.deepEqual(members[0]?.asked, ["read"]);
  assert.equal(text(await client.unary(put, bytes("write"))), "write");
  assert.deepEqual(members[0]?.asked, ["read"], "the write went to the other one at once");
});

test("where no member has a leader, a read is asked a few times and fails", async (t) => {
  const leaderless: UnaryMethod = (call) => call.fail(errNoLeader);
  const { client, members } = world(t, [leaderless, leaderless], { attemptsMax: 3 });
  await assert.rejects(
    client.unary(range, bytes("read")),
    failsWith(StatusCode.unavailable, /no leader/),
  );
  assert.equal(
    members.reduce((sum, { asked }) => sum + asked.length, 0),
    3,
  );
});

test("a read is not repeated for ever, and without members calls fail at once", async (t) => {
  const { client, members } = world(t, [silent, silent, silent], { attemptsMax: 2 });
  const read = client.unary(range, bytes("read"));
  const judged = assert.rejects(read, failsWith(StatusCode.unavailable, /connection lost/));
  for (const member of members.slice(0, 2)) {
    await turnsUntil(() => member.asked.length === 1, "the read arrives");
    member.port?.close();
  }
  await judged;
  assert.equal(members[2]?.asked.length, 0);
  members[2]?.port?.close();
  await assert.rejects(untilNoMember(client), errNoLeader);
});

/** Asks until the client has noticed that its last member is gone. */
async function untilNoMember(client: LaneChannel): Promise<void> {
  for (;;) {
    try {
      await client.unary(put, bytes("anyone?"), { timeoutMs: 1_000 });
    } catch (error) {
      if (error === errNoLeader) throw error;
    }
  }
}

test("a member that comes back is used again", async (t) => {
  const { client, members } = world(t, [echo]);
  await client.unary(put, bytes("before"));
  members[0]?.port?.close();
  const next = new FakeMember(echo);
  t.after(() => next.door.close());
  attach(client, first, next);
  next.serve();
  assert.equal(text(await client.unary(put, bytes("after"))), "after");
  assert.deepEqual(next.asked, ["after"]);
});

test("a deadline fails the call, tells the member, and ignores a late answer", async (t) => {
  const { client, members } = world(t, [silent]);
  const late = client.unary(put, bytes("late"), { timeoutMs: 5 });
  await assert.rejects(late, failsWith(StatusCode.deadlineExceeded, /context deadline exceeded/));
  await turnsUntil(() => members[0]?.open.length === 1, "the call arrives");
  const call = members[0]?.open[0];
  assert.ok(call);
  await turnsUntil(() => call.cancelled, "the member hears of it");
  call.respond(bytes("too late"));
  const other = client.unary(put, bytes("other"));
  await turnsUntil(() => members[0]?.open.length === 2, "the client goes on");
  members[0]?.open[1]?.respond(bytes("fine"));
  assert.equal(text(await other), "fine");
});

test("a signal cancels the call here and there", async (t) => {
  const { client, members } = world(t, [silent]);
  const abort = new AbortController();
  const { signal } = abort;
  const call = client.unary(put, bytes("x"), { signal });
  await turnsUntil(() => members[0]?.open.length === 1, "the call arrives");
  abort.abort();
  await assert.rejects(call, failsWith(StatusCode.canceled, /canceled/));
  await turnsUntil(() => members[0]?.open[0]?.cancelled === true, "the member hears of it");
  const again = client.unary(put, bytes("x"), { signal });
  await assert.rejects(again, failsWith(StatusCode.canceled, /canceled/));
});

test("bounds: calls, bytes and methods in flight fail with too many requests", async (t) => {
  const tooMany = failsWith(StatusCode.unknown, /too many requests/);
  const limits = { callsMax: 3, callBytesMax: 100, methodsMax: 2 };
  const { client, members } = world(t, [silent], limits);
  const held = [0, 1, 2].map(() => client.unary(put, bytes("x")));
  await assert.rejects(client.unary(put, bytes("x")), tooMany, "callsMax");
  await turnsUntil(() => members[0]?.open.length === 3, "the calls arrive");
  for (const call of members[0]?.open ?? []) call.respond(bytes(""));
  await Promise.all(held);
  await assert.rejects(client.unary(put, new Uint8Array(101)), tooMany, "callBytesMax");
  const known = client.unary(range, bytes(""));
  await assert.rejects(client.unary("/a.B/C", bytes("")), tooMany, "methodsMax");
  await turnsUntil(() => members[0]?.open.length === 4, "a known method still works");
  members[0]?.open[3]?.respond(bytes(""));
  await known;
});

test("the door refuses more open calls than it may hold", async (t) => {
  const member = new FakeMember(silent, 2);
  const client = new LaneChannel();
  t.after(() => member.door.close());
  t.after(() => client.close());
  attach(client, first, member);
  member.serve();
  const held = [1, 2].map(() => client.unary(put, bytes("x")));
  for (const call of held) call.catch(() => {});
  await assert.rejects(
    client.unary(put, bytes("x")),
    failsWith(StatusCode.unknown, /too many requests/),
  );
  assert.equal(member.open.length, 2);
});

test("a method that throws is a mistake of the member, not of the caller's thread", async (t) => {
  const mistake = new Error("ours");
  const { client, members } = world(t, [
    () => {
      throw mistake;
    },
  ]);
  client.unary(put, bytes("x")).catch(() => {});
  await turnsUntil(() => members[0]?.mistakes.length === 1, "it is reported");
  assert.equal(members[0]?.mistakes[0], mistake);
});

test("the door closes a port that sends anything but calls", async (t) => {
  const rows = [
    { sent: "text", why: "not bytes" },
    { sent: Uint8Array.of(99), why: "unknown record" },
    { sent: Uint8Array.of(0x95, 2, 1), why: "cut off" },
    { sent: Uint8Array.of(0x95, 2, 1, 7, 0, 0xc4, 0), why: "undefined method" },
    { sent: Buffer.from("95020100 00c6ffffffff00".replace(" ", ""), "hex"), why: "4 GiB" },
    { sent: Buffer.from("9301cdffffa0", "hex"), why: "too many methods" },
  ];
  for (const { sent, why } of rows) {
    const member = new FakeMember(echo);
    member.serve();
    const port = member.channel();
    t.after(() => port.close());
    let closed = false;
    port.on("close", () => {
      closed = true;
    });
    port.postMessage(sent);
    await turnsUntil(() => closed, why);
    assert.equal(member.asked.length, 0, why);
  }
});

test("calls of a client that is gone are cancelled", async (t) => {
  const { client, members } = world(t, [silent]);
  const call = client.unary(put, bytes("x"));
  const judged = assert.rejects(call, failsWith(StatusCode.unavailable, /server stopped/));
  await turnsUntil(() => members[0]?.open.length === 1, "the call arrives");
  client.close();
  await judged;
  await turnsUntil(() => members[0]?.open[0]?.cancelled === true, "the member notices");
  await assert.rejects(
    client.unary(put, bytes("x")),
    failsWith(StatusCode.unavailable, /server stopped/),
  );
});

test("an idle client holds nothing alive, a call does, and closing leaves no handle", async (t) => {
  const { client, members } = world(t, [silent]);
  const ports = (): number =>
    process.getActiveResourcesInfo().filter((name) => name === "MessagePort").length;
  await turnsUntil(() => members[0]?.port !== undefined, "attached");
  const idle = ports();
  const call = client.unary(put, bytes("x"));
  assert.equal(ports(), idle + 1, "a call in flight keeps the port alive");
  await turnsUntil(() => members[0]?.open.length === 1, "the call arrives");
  members[0]?.open[0]?.respond(bytes(""));
  await call;
  assert.equal(ports(), idle, "an idle port does not");
});
