// Raft member thread: the entry. Control messages of main go to the host, which owns everything else.
import { parentPort, workerData } from "node:worker_threads";
import { Mistake } from "../src/base/assert.ts";
import type { MemberThreadData, ToMember } from "../src/cluster/protocol.ts";
import { MemberHost } from "./memberHost.ts";

if (parentPort === null) throw new Mistake("this file runs as a member thread");
const main = parentPort;
const host = new MemberHost(workerData as MemberThreadData, (message) => main.postMessage(message));
main.on("message", (message: ToMember) => host.onMessage(message));
process.on("uncaughtException", (error) => host.crash(error));
host.bind();
