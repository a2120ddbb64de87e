// The door alone: a server whose answers are constant, to be loaded by any etcd client, and the same
// over an in-memory socket. Usage: tsx bench/micro/door.ts serve [PORT] | tsx bench/micro/door.ts
import { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import { Listener } from "../../src/door/listener.ts";
import type { MethodTable, UnaryCall } from "../../src/grpc/call.ts";
import { defaultGrpcLimits } from "../../src/grpc/exchange.ts";
import { messagePrefixBytes } from "../../src/grpc/messageReader.ts";
import { GrpcServer } from "../../src/grpc/server.ts";
import { usualFields } from "../../src/grpc/status.ts";
import { connectionPreface, Flag, FrameType } from "../../src/http2/frames.ts";
import { defaultHttp2Limits } from "../../src/http2/limits.ts";
import { writeFrameHeader } from "../../src/http2/output.ts";
import { literalFields } from "../../src/http2/responseBlocks.ts";
import { Http2Server } from "../../src/http2/server.ts";
import { systemTimers } from "../../src/http2/timers.ts";

// ResponseHeader { cluster_id, member_id: 10-byte varints; revision, raft_term: 2 }.
const id = "ffffffffffffffffff01";
const header = Buffer.from(`0a1a08${id}10${id}18022002`, "hex");
// KeyValue { key: 8 bytes; revisions and version: 2; value: 256 bytes } and count 1.
const keyValue = Buffer.concat([
  Buffer.from("0a08", "hex"),
  Buffer.alloc(8, 1),
  Buffer.from("1002180220022a8002", "hex"),
  Buffer.alloc(256, 2),
]);
const rangeResponse = Buffer.concat([
  header,
  Buffer.from([0x12, (keyValue.length & 0x7f) | 0x80, keyValue.length >> 7]),
  keyValue,
  Buffer.from("2001", "hex"),
]);

const constant = (message: Uint8Array) => (call: UnaryCall) => call.respond(message);

/** Put and Range with answers of the usual size. */
export const constantMethods: MethodTable = {
  unary: new Map([
    ["/etcdserverpb.KV/Put", constant(header)],
    ["/etcdserverpb.KV/Range", constant(rangeResponse)],
  ]),
  stream: new Map(),
};

export interface DoorFigures {
  readonly calls: number;
  readonly microsPerCall: number;
  /** Of answers: a wrong sum would mean that not every call was answered. */
  readonly bytesOut: number;
}

/** Serves `turns` turns of `callsPerTurn` puts on one in-memory connection. */
export function measureDoor(load: {
  readonly turns: number;
  readonly callsPerTurn: number;
}): DoorFigures {
  let bytesOut = 0;
  const socket = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      bytesOut += chunk.length;
      done();
    },
  });
  const server = constantServer();
  server.accept(socket, Buffer.concat([connectionPreface, frame(FrameType.settings, 0, 0, "")]));
  const startedMs = systemTimers.nowMs();
  for (let turn = 0; turn < load.turns; turn++) {
    const requests: Buffer[] = [];
    for (let call = 0; call < load.callsPerTurn; call++) {
      requests.push(putRequest((turn * load.callsPerTurn + call) * 2 + 1));
    }
    requests.push(windowUpdate(load.callsPerTurn));
    socket.emit("data", Buffer.concat(requests));
    server.flush();
  }
  const calls = load.turns * load.callsPerTurn;
  const microsPerCall = ((systemTimers.nowMs() - startedMs) * 1000) / calls;
  socket.destroy();
  return { calls, microsPerCall, bytesOut };
}

function constantServer(): Http2Server {
  const handler = new GrpcServer({
    methods: constantMethods,
    limits: defaultGrpcLimits,
    timers: systemTimers,
    onMistake(error) {
      throw error;
    },
  });
  const limits = { ...defaultHttp2Limits, connectionsMax: 1 };
  const options = { handler, usual: usualFields, limits, timers: systemTimers };
  return new Http2Server({ ...options, requestFlush() {} });
}

const requestBlock = Buffer.concat([
  Buffer.from([0x83, 0x86]),
  literalFields([
    [":path", "/etcdserverpb.KV/Put"],
    ["content-type", "application/grpc"],
  ]),
]);
const putBody = Buffer.concat([
  Buffer.from("00000001100a08", "hex"),
  Buffer.alloc(8, 1),
  Buffer.from("128002", "hex"),
  Buffer.alloc(259, 2),
]);
/** Gives back the connection window that the answers of one turn used. */
function windowUpdate(calls: number): Buffer {
  const increment = Buffer.alloc(4);
  increment.writeUInt32BE(calls * (messagePrefixBytes + header.length));
  return frame(FrameType.windowUpdate, 0, 0, increment);
}

function putRequest(streamId: number): Buffer {
  return Buffer.concat([
    frame(FrameType.headers, Flag.endHeaders, streamId, requestBlock),
    frame(FrameType.data, Flag.endStream, streamId, putBody),
  ]);
}

function frame(type: number, flags: number, streamId: number, payload: Buffer | string): Buffer {
  const body = typeof payload === "string" ? Buffer.from(payload, "hex") : payload;
  const bytes = Buffer.alloc(9 + body.length);
  writeFrameHeader(bytes, 0, type, flags, streamId, body.length);
  bytes.set(body, 9);
  return bytes;
}

async function main(verb: string | undefined, port: string | undefined): Promise<void> {
  if (verb === "serve") {
    const listener = new Listener();
    const bound = await listener.listen({ host: "127.0.0.1", port: Number(port ?? 0) });
    listener.serve(constantMethods);
    process.on("SIGTERM", () => void listener.close({ graceMs: 100 }));
    console.log(JSON.stringify({ port: bound.port, pid: process.pid }));
    return;
  }
  measureDoor({ turns: 500, callsPerTurn: 20 });
  for (const callsPerTurn of [1, 10, 100]) {
    console.log(callsPerTurn, measureDoor({ turns: 100_000 / callsPerTurn, callsPerTurn }));
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main(process.argv[2], process.argv[3]);
}
