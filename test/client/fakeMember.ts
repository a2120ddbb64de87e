// Members that note what they are asked, behind real ports, and a client of them.
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { MemberId } from "../../src/base/brand.ts";
import type { EtcdError, StatusCode } from "../../src/base/errors.ts";
import { LaneChannel, type LaneChannelLimits } from "../../src/client/laneChannel.ts";
import { overMessagePort } from "../../src/cluster/messageLane.ts";
import { overMessagePort as doorPort } from "../../src/door/doorPort.ts";
import { EmbeddedDoor } from "../../src/door/embedded.ts";
import type { StreamCall, StreamHandler, UnaryCall, UnaryMethod } from "../../src/grpc/call.ts";

export const watchPath = "/etcdserverpb.Watch/Watch";

export interface FakeStream {
  readonly call: StreamCall;
  readonly heard: string[];
}

export const put = "/etcdserverpb.KV/Put";
export const range = "/etcdserverpb.KV/Range";
export const first = MemberId(1n);
export const second = MemberId(2n);
export const bytes = (text: string): Uint8Array => Buffer.from(text);
export const text = (message: Uint8Array): string => Buffer.from(message).toString();

/** A member that notes what it was asked; `answer` may leave a call open. */
export class FakeMember {
  readonly asked: string[] = [];
  readonly open: UnaryCall[] = [];
  readonly mistakes: unknown[] = [];
  readonly door: EmbeddedDoor;
  flushes = 0;
  /** The member's end of the last channel. */
  port: MessagePort | undefined;

  constructor(answer: UnaryMethod, callsMax = 65_536) {
    this.door = new EmbeddedDoor({
      requestFlush: () => {
        this.flushes++;
        setImmediate(() => this.door.flush());
      },
      onMistake: (error) => this.mistakes.push(error),
      limits: { callsMax },
    });
    const method: UnaryMethod = (call, message) => {
      this.asked.push(text(message));
      this.open.push(call);
      answer(call, message);
    };
    const methods = {
      unary: new Map([put, range].map((path) => [path, method])),
      stream: new Map([[watchPath, (call: StreamCall) => this.#openStream(call)]]),
    };
    this.serve = () => this.door.serve(methods);
  }

  readonly serve: () => void;
  readonly streams: FakeStream[] = [];

  #openStream(call: StreamCall): StreamHandler {
    const heard: string[] = [];
    this.streams.push({ call, heard });
    return {
      onMessage: (message) => void heard.push(text(message)),
      onHalfClose: () => void heard.push("half-close"),
      onDrain: () => void heard.push("drain"),
      onCancel: () => void heard.push("cancel"),
    };
  }

  /** @returns the client's end of a new channel. */
  channel(): MessagePort {
    const { port1, port2 } = new MessageChannel();
    this.port = port2;
    this.door.attach(doorPort(port2));
    return port1;
  }
}

export const attach = (client: LaneChannel, id: MemberId, member: FakeMember): void =>
  client.attach(`${id}`, overMessagePort(member.channel()), { member: id });

export const echo: UnaryMethod = (call, message) => call.respond(message);
export const silent: UnaryMethod = () => {};

export interface World {
  readonly client: LaneChannel;
  readonly members: readonly FakeMember[];
}

export function world(
  t: TestContext,
  answers: readonly UnaryMethod[],
  limits: Partial<LaneChannelLimits> = {},
): World {
  const client = new LaneChannel({ limits });
  const members = answers.map((answer) => new FakeMember(answer));
  members.forEach((member, i) => {
    attach(client, MemberId(BigInt(i + 1)), member);
    member.serve();
  });
  t.after(() => {
    client.close();
    for (const member of members) member.door.close();
  });
  return { client, members };
}

export const failsWith = (code: StatusCode, message: RegExp) => (error: unknown) => {
  const { name, code: found, message: said } = error as EtcdError;
  assert.equal(name, "EtcdError");
  assert.equal(found, code);
  assert.match(said, message);
  return true;
};
