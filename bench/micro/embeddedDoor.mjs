// The member's side of embedded.ts: a thread whose put answers a constant.
import { parentPort } from "node:worker_threads";
import { register } from "tsx/esm/api";

register();
const { EmbeddedDoor } = await import("../../src/door/embedded.ts");
const { overMessagePort } = await import("../../src/door/doorPort.ts");

const answer = Buffer.from("0a0c0801100218ffffff0320ff01", "hex");
const door = new EmbeddedDoor({
  requestFlush: () => setImmediate(() => door.flush()),
  onMistake: (error) => {
    throw error;
  },
});
door.serve({
  unary: new Map([["/etcdserverpb.KV/Put", (call) => call.respond(answer)]]),
  stream: new Map(),
});
parentPort.on("message", ({ port }) => door.attach(overMessagePort(port)));
