// One member of the pipeline benchmark in its thread: raft, log, state machine and store as a member has
// them, and callers in the place of the door.
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { CommandKind } from "../../src/apply/command.ts";
import { MemberId } from "../../src/base/brand.ts";
import { silentLog } from "../../src/base/ports.ts";
import { Prng } from "../../src/base/prng.ts";
import { systemClock, systemRandom } from "../../src/base/system.ts";
import { bootMember } from "../../src/member/boot.ts";
import { defaultTiming } from "../../src/member/events.ts";
import type { Member } from "../../src/member/member.ts";
import type { ProposalCompletion } from "../../src/member/service.ts";
import { encodePutRequest } from "../../src/proto/encodeRequests.ts";
import { Writer } from "../../src/proto/writer.ts";
import { FsLogDisk } from "../../src/storage/diskFs.ts";
import type { RaftLog } from "../../src/storage/log.ts";
import { MemoryLog } from "../../src/storage/memoryLog.ts";
import { openRaftLog } from "../../src/storage/raftLog.ts";
import type { StoreHome } from "../../src/storage/storeHome.ts";
import { PortLink } from "../../src/transport/port.ts";
import { openStore } from "../../workers/openStore.ts";
import { timelineMs } from "../load/generator.ts";
import { type Latencies, newLatencies, recordMs } from "../load/histogram.ts";
import { KeyPicker, Template, templatePut } from "../load/scenarios/keys.ts";

export interface PipelineThreadData {
  readonly id: bigint;
  readonly ids: readonly bigint[];
  /** undefined: in memory. */
  readonly folder: string | undefined;
}

export interface PipelineLoad {
  readonly clients: number;
  readonly total: number;
  readonly keySize: number;
  readonly valSize: number;
  readonly keySpace: number;
  readonly seed: number;
}

export type ToPipelineThread =
  | { readonly kind: "peer"; readonly peer: bigint; readonly port: MessagePort }
  | { readonly kind: "campaign" }
  | { readonly kind: "load"; readonly load: PipelineLoad }
  | { readonly kind: "stop" };

export type FromPipelineThread =
  | { readonly kind: "started" | "leader" | "stopped" }
  | { readonly kind: "failed"; readonly why: string }
  | { readonly kind: "done"; readonly result: PipelineResult };

export interface PipelineResult {
  readonly latencies: Latencies;
  readonly timeline: readonly number[];
  readonly elapsedMs: number;
  readonly refused: number;
  readonly entries: number;
}

const recentBytesMax = 32 << 20;
const segmentBytesMax = 16 << 20;

class PipelineThread {
  readonly #post: (message: FromPipelineThread) => void;
  readonly #link = new PortLink();
  readonly #log: RaftLog;
  readonly #home: StoreHome;
  readonly #member: Member;
  readonly #ticker: NodeJS.Timeout;
  #turnRequested = false;

  constructor({ id, ids, folder }: PipelineThreadData, post: (m: FromPipelineThread) => void) {
    this.#post = post;
    const self = MemberId(id);
    const membership = { voters: ids.map(MemberId), outgoing: [], learners: [] };
    this.#log =
      folder === undefined
        ? new MemoryLog({ membership })
        : openLog(join(folder, "log"), self, membership);
    this.#home = openStore({
      directory: folder && join(folder, "store"),
      raftLog: this.#log,
      owner: { clusterId: 1n, memberId: self },
      log: silentLog,
    });
    const config = { clusterId: 1n, id: self, incarnation: 1, timing: defaultTiming, members: [] };
    this.#member = bootMember(config, {
      ...{ clock: systemClock, random: systemRandom, log: silentLog },
      ...{ link: this.#link, raftLog: this.#log, home: this.#home },
      requestTurn: () => this.#requestTurn(),
      fail: (error) => post({ kind: "failed", why: error.message }),
      onLeader: ({ role }) => role === "leader" && post({ kind: "leader" }),
    });
    this.#link.onFrame = (from, bytes) => this.#member.handle({ kind: "frame", from, bytes });
    this.#ticker = setInterval(() => this.#member.handle({ kind: "tick" }), defaultTiming.tickMs);
    post({ kind: "started" });
  }

  onMessage(message: ToPipelineThread): void {
    switch (message.kind) {
      case "peer":
        this.#link.attach(MemberId(message.peer), message.port);
        break;
      case "campaign":
        this.#member.handle({ kind: "campaign" });
        break;
      case "load":
        new Callers(this.#member, message.load, (result) =>
          this.#post({ kind: "done", result }),
        ).start();
        break;
      case "stop":
        void this.#stop();
        break;
    }
  }

  async #stop(): Promise<void> {
    this.#member.handle({ kind: "stop" });
    clearInterval(this.#ticker);
    this.#link.close();
    this.#log.close();
    await this.#home.close();
    this.#post({ kind: "stopped" });
    process.exit(0);
  }

  #requestTurn(): void {
    if (this.#turnRequested) return;
    this.#turnRequested = true;
    setImmediate(() => {
      this.#turnRequested = false;
      this.#member.turn();
    });
  }
}

function openLog(
  folder: string,
  memberId: MemberId,
  membership: Parameters<typeof openRaftLog>[0]["membership"],
): RaftLog {
  return openRaftLog({
    disk: new FsLogDisk(folder),
    clock: systemClock,
    log: silentLog,
    owner: { clusterId: 1n, memberId },
    salt: () => randomBytes(8).readBigUInt64LE(),
    defer: (run) => void setImmediate(run),
    segmentBytesMax,
    sync: "auto",
    membership,
    mayCreate: true,
    mayRefill: false,
    recentBytesMax,
  });
}

/** Closed loop: each proposes again when it has its outcome. */
class Callers {
  readonly #member: Member;
  readonly #load: PipelineLoad;
  readonly #onDone: (result: PipelineResult) => void;
  readonly #template: Template;
  readonly #keys: KeyPicker;
  readonly #latencies = newLatencies();
  readonly #timeline: number[] = [];
  readonly #firstEntry: number;
  #startedMs = 0;
  #started = 0;
  #active: number;
  #refused = 0;

  constructor(member: Member, load: PipelineLoad, onDone: (result: PipelineResult) => void) {
    this.#member = member;
    this.#load = load;
    this.#onDone = onDone;
    const put = encodePutRequest(new Writer(), templatePut(load));
    this.#template = new Template(put, load.keySize);
    this.#keys = new KeyPicker({ keySpace: load.keySpace, random: new Prng(load.seed) });
    this.#active = load.clients;
    this.#firstEntry = member.status().applied;
  }

  start(): void {
    this.#startedMs = performance.now();
    for (let i = 0; i < this.#load.clients; i++) this.#call(this.#caller());
  }

  #caller(): Caller {
    const caller: Caller = {
      startedMs: 0,
      onOutcome: () => {
        const nowMs = performance.now();
        recordMs(this.#latencies, nowMs - caller.startedMs);
        const slot = Math.floor((nowMs - this.#startedMs) / timelineMs);
        this.#timeline[slot] = (this.#timeline[slot] ?? 0) + 1;
        this.#call(caller);
      },
      onRefused: () => {
        this.#refused++;
        // Later: a refusal may come within the call.
        setImmediate(() => this.#call(caller));
      },
    };
    return caller;
  }

  #call(caller: Caller): void {
    if (this.#started >= this.#load.total) {
      if (--this.#active === 0) this.#end();
      return;
    }
    this.#started++;
    caller.startedMs = performance.now();
    this.#member.propose(CommandKind.put, this.#template.fill(this.#keys), caller);
  }

  #end(): void {
    this.#onDone({
      latencies: this.#latencies,
      timeline: Array.from(this.#timeline, (count) => count ?? 0),
      elapsedMs: performance.now() - this.#startedMs,
      refused: this.#refused,
      entries: this.#member.status().applied - this.#firstEntry,
    });
  }
}

interface Caller extends ProposalCompletion {
  startedMs: number;
}

if (parentPort !== null) {
  const port = parentPort;
  const thread = new PipelineThread(workerData as PipelineThreadData, (m) => port.postMessage(m));
  port.on("message", (message: ToPipelineThread) => thread.onMessage(message));
}
