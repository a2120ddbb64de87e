// A member thread whose peers' door cannot be closed, and that crashes.
import { workerData } from "node:worker_threads";
import type { MemberThreadData } from "../../src/cluster/protocol.ts";
import { MemberHost } from "../../workers/memberHost.ts";
import { PeerDoor } from "../../workers/peerDoor.ts";

PeerDoor.prototype.close = () => {
  throw new Error("this door does not close");
};
new MemberHost(workerData as MemberThreadData, () => {}).crash(new Error("whatever"));
