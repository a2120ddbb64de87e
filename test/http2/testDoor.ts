// A door on a free port with methods that show what a peer can do to it.
import type { TestContext } from "node:test";
import { EtcdError, StatusCode } from "../../src/base/errors.ts";
import { Listener, type ListenerOptions } from "../../src/door/listener.ts";
import type { MethodTable, StreamCall, StreamHandler, UnaryCall } from "../../src/grpc/call.ts";

export const errRefused = new EtcdError(StatusCode.notFound, "test: 100 % refusé");

/** What the methods saw; tests read it. */
export interface Seen {
  /** Calls of Hang, never answered. */
  readonly hung: UnaryCall[];
  /** Streams of Talk and Pour. */
  readonly streams: StreamCall[];
  readonly events: string[];
  readonly mistakes: unknown[];
}

export interface TestDoor {
  readonly port: number;
  readonly listener: Listener;
  readonly seen: Seen;
  close(): Promise<void>;
}

/** Closed after the test `t` in any case. */
export async function openDoor(t: TestContext, options: ListenerOptions = {}): Promise<TestDoor> {
  const door = await openLastingDoor(options);
  t.after(() => door.close());
  return door;
}

/** To be closed by the caller. */
export async function openLastingDoor(options: ListenerOptions = {}): Promise<TestDoor> {
  const seen: Seen = { hung: [], streams: [], events: [], mistakes: [] };
  const onMistake = (error: unknown): void => void seen.mistakes.push(error);
  const listener = new Listener({ onMistake, ...options });
  const { port } = await listener.listen({ host: "127.0.0.1", port: 0 });
  listener.serve(testMethods(seen));
  return { port, listener, seen, close: () => listener.close({ graceMs: 0 }) };
}

/** Byte `i` of every large answer. */
export const patternByte = (i: number): number => (i * 7 + (i >> 8)) & 0xff;

export function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = patternByte(i);
  return bytes;
}

/** The pattern in parts of uneven length. */
function partsOf(length: number): readonly Buffer[] {
  const whole = pattern(length);
  const parts: Buffer[] = [];
  for (let at = 0, part = 1; at < length; at += part, part = part * 3 + 1) {
    parts.push(Buffer.from(whole.subarray(at, at + part)));
  }
  return parts;
}

function testMethods(seen: Seen): MethodTable {
  return {
    unary: new Map<string, (call: UnaryCall, message: Uint8Array) => void>([
      ["/test.T/Echo", (call, message) => call.respond(message)],
      ["/test.T/Big", (call, message) => call.respond(pattern(Number(textOf(message))))],
      ["/test.T/Parts", (call, message) => call.respondInParts(partsOf(Number(textOf(message))))],
      ["/test.T/Hang", (call) => void seen.hung.push(call)],
      ["/test.T/Refuse", (call) => call.fail(errRefused)],
      [
        "/test.T/Meta",
        (call, name) => call.respond(Buffer.from(call.metadata(textOf(name)) ?? "none", "latin1")),
      ],
      [
        "/test.T/Throw",
        () => {
          throw new Error("a bug");
        },
      ],
    ]),
    stream: new Map<string, (call: StreamCall) => StreamHandler>([
      ["/test.T/Talk", (call) => talk(call, seen)],
      ["/test.T/Pour", (call) => pour(call, seen)],
      [
        "/test.T/Trip",
        (call) => ({
          ...talk(call, seen),
          onMessage() {
            throw new Error("a bug");
          },
        }),
      ],
    ]),
  };
}

const textOf = (message: Uint8Array): string => Buffer.from(message).toString();

function talk(call: StreamCall, seen: Seen): StreamHandler {
  seen.streams.push(call);
  return {
    onMessage: (message) => void call.write(message),
    onHalfClose: () => call.end(),
    onDrain: () => void seen.events.push("drain"),
    onCancel: () => void seen.events.push("cancel"),
  };
}

// Writes as many messages of 1,000 bytes as the first message says, as fast as it may.
function pour(call: StreamCall, seen: Seen): StreamHandler {
  seen.streams.push(call);
  let left = 0;
  const work = (): void => {
    while (left > 0) {
      left -= 1;
      if (!call.write(pattern(1000))) return;
    }
    if (!call.cancelled) call.end();
  };
  return {
    onMessage(message) {
      left = Number(textOf(message));
      work();
    },
    onHalfClose() {},
    onDrain: work,
    onCancel: () => void seen.events.push("cancel"),
  };
}
