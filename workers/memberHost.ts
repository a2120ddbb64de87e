// One life of a member in its thread: builds the real ports, turns callbacks into events, runs a turn
// after the events of each event-loop turn, and leaves in order or by crashing.
import { randomBytes } from "node:crypto";
import path from "node:path";
import { MemberId, Term } from "../src/base/brand.ts";
import type { Log } from "../src/base/ports.ts";
import { systemClock, systemLog, systemRandom } from "../src/base/system.ts";
import { ThreadGate } from "../src/base/threadGate.ts";
import type { FromMember, MemberThreadData, ToMember } from "../src/cluster/protocol.ts";
import { overMessagePort } from "../src/door/doorPort.ts";
import { EmbeddedDoor } from "../src/door/embedded.ts";
import { openHttpDoor } from "../src/door/httpDoor.ts";
import { Listener } from "../src/door/listener.ts";
import { WsDoor } from "../src/door/wsDoor.ts";
import { bindMethods } from "../src/grpc/bind.ts";
import { withReflection } from "../src/grpc/reflection.ts";
import { bootMember } from "../src/member/boot.ts";
import { NotForcedError } from "../src/member/forceAlone.ts";
import type { Member } from "../src/member/member.ts";
import type { LinkInfo } from "../src/member/roster.ts";
import { BirthsFile } from "../src/storage/birthsFile.ts";
import { DataDirError } from "../src/storage/dataDirError.ts";
import { FsLogDisk } from "../src/storage/diskFs.ts";
import { EngineFault } from "../src/storage/engineFault.ts";
import { LogFault, type RaftLog } from "../src/storage/log.ts";
import type { LogDisk } from "../src/storage/logDisk.ts";
import { openRaftLog } from "../src/storage/raftLog.ts";
import { SharedDisk } from "../src/storage/sharedDisk.ts";
import type { StoreHome } from "../src/storage/storeHome.ts";
import type { TurnedAway } from "../src/transport/handshake.ts";
import { BindError } from "./bindError.ts";
import { accessOf, bindClientDoor } from "./clientDoor.ts";
import { MemberNews } from "./memberNews.ts";
import { MemberPages } from "./memberPages.ts";
import { openStore } from "./openStore.ts";
import { PeerDoor } from "./peerDoor.ts";
import { isPermanent } from "./permanent.ts";

/** Entries of the log that stay in memory for peers that lag a little. */
export const recentLogBytesMax = 4 << 20;
export const segmentBytesMax = 16 << 20;
/** Without a disk there is nothing to preallocate. */
export const memorySegmentBytesMax = 8 << 20;
/** Time for open calls at an orderly end. */
export const graceMs = 500;
/** Longest wait for another leader and for answers to calls under way, before that end. */
export const handOverMsMax = 1_000;

type StartMessage = Extract<ToMember, { kind: "start" }>;

export class MemberHost {
  readonly #data: MemberThreadData;
  readonly #gate: ThreadGate;
  readonly #post: (message: FromMember) => void;
  readonly #log: Log;
  readonly #listener: Listener;
  readonly #embedded: EmbeddedDoor;
  readonly #sockets: WsDoor;
  readonly #peers: PeerDoor;
  readonly #pages: MemberPages;
  readonly #news: MemberNews;
  #member: Member | undefined;
  #raftLog: RaftLog | undefined;
  #home: StoreHome | undefined;
  #ticker: NodeJS.Timeout | undefined;
  #turnRequested = false;
  #turnTimer: NodeJS.Timeout | undefined;
  #isStopping = false;
  /** Called once no call waits for an outcome. */
  #onIdle: (() => void) | undefined;
  #leaving = false;
  #isOut = false;

  constructor(data: MemberThreadData, post: (message: FromMember) => void) {
    this.#gate = new ThreadGate(data.gate);
    this.#data = data;
    this.#post = post;
    this.#log = systemLog({
      level: data.logLevel,
      caller: data.name,
      format: data.logFormat,
    });
    this.#news = new MemberNews(this.#log, data.id);
    this.#peers = new PeerDoor(this.#log);
    const requestFlush = (): void => this.#requestTurn();
    const onMistake = (error: unknown): void => this.crash(error);
    this.#pages = new MemberPages(this.#log, { isTimed: data.metrics === "extensive" });
    const { stats } = this.#pages;
    this.#listener = new Listener({ requestFlush, onMistake, log: this.#log, stats });
    this.#embedded = new EmbeddedDoor({ requestFlush, onMistake, self: data.id });
    this.#sockets = new WsDoor({
      attach: (port, limits) => this.#embedded.attach(port, limits),
      origins: data.door?.cors ?? [],
    });
  }

  /** Binds the ports for clients and peers; nothing else is touched before `start`. */
  bind(): void {
    this.#bind().then(
      (port) => this.#post({ kind: "bound", port }),
      (error: unknown) => this.#fail(error, { permanent: true }),
    );
  }

  onMessage(message: ToMember): void {
    if (this.#leaving) return;
    switch (message.kind) {
      case "start":
        // A slow disk may have held back the start of an earlier thread until this one was there.
        if (this.#raftLog === undefined) this.#start(message);
        break;
      case "peer":
        this.#peers.attach(MemberId(message.peer), message.port);
        break;
      case "client":
        this.#embedded.attach(overMessagePort(message.port));
        break;
      case "campaign":
        this.#member?.handle({ kind: "campaign" });
        break;
      case "pause":
        Atomics.wait(message.gate, 0, 0, message.ms);
        break;
      case "mute":
        this.#peers.mute(new Set(message.peers.map(MemberId)));
        break;
      case "stop":
        void this.#stop(message);
        break;
      case "die":
        this.#leave(1);
        break;
    }
  }

  /** An error that nobody expected: the member can no longer be trusted. */
  crash(error: unknown): void {
    this.#fail(error, { permanent: isPermanent(error, "run") });
  }

  async #bind(): Promise<number> {
    const { listen, mesh, door } = this.#data;
    const port = await bindClientDoor(this.#listener, listen, door);
    if (mesh !== undefined) await this.#peers.listen(mesh);
    return port;
  }

  #start(message: StartMessage): void {
    try {
      this.#open(message);
    } catch (error) {
      this.#fail(error, { permanent: isPermanent(error, "start") });
    }
  }

  #open(message: StartMessage): void {
    const { id, clusterId, timing, watchProgressMs, compaction, changePolicy } = this.#data;
    const readMode = this.#data.leaseReads ? "lease" : "readIndex";
    const isAlone = message.folders === undefined && message.members.length === 1;
    const raftLog = this.#openLog(message);
    this.#raftLog = raftLog;
    const owner = { clusterId, memberId: id };
    const directory = message.folders?.store;
    this.#home = openStore({ directory, raftLog, owner, log: this.#log, gate: this.#gate });
    this.#openMesh(message);
    const link = this.#pages.watchLink(this.#peers.link);
    const member = bootMember(
      {
        clusterId,
        id: MemberId(id),
        incarnation: message.incarnation,
        ...{ timing, readMode },
        ...(changePolicy && { changePolicy }),
        members: message.members,
        forceAlone: message.forceAlone === true,
        told: { birth: message.birth, name: this.#data.name, clientUrls: message.clientUrls },
        ...(watchProgressMs && { watchProgressMs }),
        // Without a disk the log is all that the next life of a lone member has.
        compaction: isAlone
          ? { snapshotEntries: Number.POSITIVE_INFINITY, snapshotBytes: Number.POSITIVE_INFINITY }
          : (compaction ?? {}),
      },
      {
        clock: systemClock,
        random: systemRandom,
        log: this.#log,
        link,
        raftLog,
        home: this.#home,
        ...(message.folders && { births: new BirthsFile(path.dirname(message.folders.log)) }),
        requestTurn: () => this.#requestTurn(),
        requestTurnIn: (ms) => this.#requestTurnIn(ms),
        fail: (error) => this.#fail(error, { permanent: isPermanent(error, "run") }),
        onLeader: ({ leader, role, term }) => {
          this.#pages.onRole(role === "leader");
          this.#log.info("leader changed", { leader, role, term });
          this.#post({ kind: "leader", leader, role, term });
          this.#embedded.tellLeader(leader, term);
        },
        onLinks: (members) => this.#onLinks(members),
        onRemoved: () => this.#onRemoved(),
      },
    );
    this.#member = member;
    link.onFrame = (from, bytes) => member.handle({ kind: "frame", from, bytes });
    const methods = withReflection(bindMethods(member));
    const onMistake = (error: unknown): void => this.crash(error);
    const pages = this.#pages.open(member, MemberId(id));
    const { stats } = this.#pages;
    const { upgrades } = this.#sockets;
    const access = accessOf(this.#data.door);
    const requestFlush = (): void => this.#requestTurn();
    const http = openHttpDoor({
      ...{ methods, pages, stats, upgrades, access },
      ...{ onMistake, requestFlush },
    });
    this.#listener.serve(methods, http);
    this.#embedded.serve(methods);
    this.#ticker = setInterval(() => member.handle({ kind: "tick" }), timing.tickMs);
    const lastIndex = raftLog.lastIndex();
    const lastTerm = raftLog.term(lastIndex) ?? Term(0);
    this.#post({ kind: "started", lastIndex, lastTerm });
    this.#requestTurn();
  }

  #openMesh({ birth }: StartMessage): void {
    const { id, clusterId, mesh } = this.#data;
    if (mesh === undefined) return;
    this.#peers.open({
      self: { clusterId, id: MemberId(id), birth, peerUrls: mesh.urls },
      standingOf: (peer, told) => this.#member?.roster.standingOf(peer, told) ?? "stranger",
      onTurnedAway: (why, peer) => this.#onTurnedAway(why, peer),
      // One that is added and not applied yet may be the voter without which nobody can lead.
      members: () => membersJson(clusterId, this.#member?.roster.links() ?? []),
    });
  }

  #onLinks(members: readonly LinkInfo[]): void {
    this.#news.note(members);
    this.#peers.follow(members);
    const ids = this.#member?.roster.removedIds() ?? [];
    if (ids.length > 0) this.#post({ kind: "removed", ids });
  }

  #onTurnedAway(why: TurnedAway, peer: MemberId): void {
    if (why === "removed") this.#onRemoved();
    else {
      const message = `member ${peer.toString(16)} knows this one with another data directory: what was lost had been promised; remove this member from the cluster and add it again`;
      this.#fail(new NoPlaceError(message), { permanent: true });
    }
  }

  /** Calls that are under way, the one that removed it among them, may end. */
  #onRemoved(): void {
    if (this.#leaving || this.#isOut) return;
    this.#isOut = true;
    const message = `${this.#data.name} was removed from the cluster`;
    this.#log.warn("member stops for good", { why: message });
    this.#post({ kind: "fault", message, permanent: true, removed: true });
    void this.#stop({ handOver: false });
  }

  #openLog({ folders, members, begunWith, mayCreate }: StartMessage): RaftLog {
    const { id, clusterId } = this.#data;
    return openRaftLog({
      disk: this.#pages.watchDisk(
        folders === undefined ? this.#sharedDisk() : new FsLogDisk(folders.log),
      ),
      clock: systemClock,
      log: this.#log,
      owner: { clusterId, memberId: id },
      salt: () => randomBytes(8).readBigUInt64LE(),
      defer: (run) => void setImmediate(run),
      segmentBytesMax: folders === undefined ? memorySegmentBytesMax : segmentBytesMax,
      sync: folders === undefined ? "inline" : "auto",
      membership: { voters: begunWith.map(MemberId), outgoing: [], learners: [] },
      mayCreate,
      mayRefill:
        begunWith.length === 0 || members.some((member) => member.id !== id && !member.isLearner),
      recentBytesMax: recentLogBytesMax,
    });
  }

  #sharedDisk(): LogDisk {
    return new SharedDisk(this.#data.sharedFiles, {
      onCreate: (name, buffer) => this.#post({ kind: "fileCreated", name, buffer }),
      onRemove: (name) => this.#post({ kind: "fileRemoved", name }),
      defer: (run) => void setImmediate(run),
    });
  }

  #requestTurn(): void {
    if (this.#turnRequested) return;
    this.#turnRequested = true;
    setImmediate(() => this.#turn());
  }

  #requestTurnIn(ms: number): void {
    this.#turnTimer ??= setTimeout(() => {
      this.#turnTimer = undefined;
      this.#requestTurn();
    }, ms);
  }

  #turn(): void {
    this.#turnRequested = false;
    if (this.#leaving) return;
    this.#member?.turn();
    this.#listener.flush();
    this.#embedded.flush();
    if (this.#member?.isIdle === true) this.#onIdle?.();
  }

  #fail(error: unknown, options: { permanent: boolean }): void {
    if (this.#leaving) return;
    const message = messageOf(error, this.#data);
    // A port that is taken is a line for the user, printed by main.
    const level = error instanceof BindError ? "debug" : "error";
    this.#log[level]("member stops", { why: message });
    this.#post({ kind: "fault", message, permanent: options.permanent });
    this.#leave(1);
  }

  async #stop({ handOver }: { readonly handOver: boolean }): Promise<void> {
    if (this.#isStopping) return;
    this.#isStopping = true;
    const closed = handOver ? await this.#depart() : undefined;
    this.#member?.handle({ kind: "stop" });
    this.#listener.flush();
    this.#embedded.flush();
    this.#sockets.goAway();
    await (closed?.done ?? this.#listener.close({ graceMs }));
    this.#leave(0);
  }

  /** Another member leads, nobody new is let in, and calls under way are answered; or it takes too long. */
  async #depart(): Promise<{ readonly done: Promise<void> } | undefined> {
    const member = this.#member;
    if (member === undefined) return undefined;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, handOverMsMax);
    });
    const isLed = new Promise<void>((resolve) => member.handOver(resolve));
    await Promise.race([isLed, late]);
    const done = this.#listener.close({ graceMs });
    const isIdle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
    this.#requestTurn();
    await Promise.race([isIdle, late]);
    clearTimeout(timer);
    return { done };
  }

  // A crash but for one thing: an LMDB batch on the pool must end before the thread may.
  #leave(code: number): void {
    if (this.#leaving) return;
    this.#leaving = true;
    // From here on it ends by itself: terminated in the middle of closing, it could take the process down.
    this.#gate.enter();
    clearInterval(this.#ticker);
    clearTimeout(this.#turnTimer);
    // Whatever one of them throws, the others are closed, and the thread ends.
    this.#attempt(() => this.#peers.close());
    this.#attempt(() => this.#sockets.close());
    this.#attempt(() => this.#embedded.close());
    this.#attempt(() => this.#raftLog?.close());
    const closed = this.#attempt(() => this.#home?.close()) ?? Promise.resolve();
    closed.finally(() => process.exit(code));
  }

  #attempt<T>(close: () => T): T | undefined {
    try {
      return close();
    } catch (error) {
      this.#log.error("member could not close", { why: messageOf(error, this.#data) });
      return undefined;
    }
  }
}

/** A line for the user: this member has no place in its cluster as it is. */
class NoPlaceError extends Error {
  override readonly name = "NoPlaceError";
}

/** See cluster/joining.ts, which reads it. */
function membersJson(clusterId: bigint, members: readonly LinkInfo[]): string {
  return JSON.stringify({
    clusterId: clusterId.toString(16),
    members: members.map(({ id, name, peerUrls, isLearner }) => {
      return { id: id.toString(16), name, peerUrls, isLearner };
    }),
  });
}

function messageOf(error: unknown, data: MemberThreadData): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof BindError || error instanceof NotForcedError) return error.message;
  if (error instanceof NoPlaceError) return `${data.name}: ${error.message}`;
  const isOfDisk = [LogFault, EngineFault, DataDirError].some((kind) => error instanceof kind);
  return isOfDisk ? `${data.name}: ${error.message}` : (error.stack ?? error.message);
}
