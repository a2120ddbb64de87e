// One member in this process, the others of its cluster in theirs: what `quorlet member` runs.
import type { Log } from "../base/ports.ts";
import { type LogLevel, systemLog } from "../base/system.ts";
import type { ChangePolicy } from "../member/changeRequest.ts";
import { defaultTiming, type MemberTiming } from "../member/events.ts";
import type { MemberInfo } from "../member/service.ts";
import { DataDirError } from "../storage/dataDirError.ts";
import type { Address } from "./address.ts";
import type { MemberNotice } from "./cluster.ts";
import { compactionOf } from "./compaction.ts";
import { type Home, openHome } from "./home.ts";
import type { ClusterSeed, MemberSeed } from "./identity.ts";
import type { ClientDoor, MemberThreadData, MeshAddress, MeshDoor } from "./protocol.ts";
import { StartError } from "./startError.ts";
import { type MemberState, Supervisor, type SupervisorHooks } from "./supervisor.ts";
import { Waiters } from "./waiters.ts";

export interface SoloOptions {
  /** All members of the cluster, as far as they are known; peer URLs are ws, wss, http or https. */
  readonly seed: ClusterSeed;
  /** The one that runs here. */
  readonly self: MemberSeed;
  readonly dataDir: string;
  /** At least one. */
  readonly listenPeers: readonly MeshAddress[];
  readonly peerTls?: MeshDoor["tls"];
  readonly listenClient: Address;
  /** TLS, more addresses and who may call; open to all without TLS when left out. */
  readonly door?: ClientDoor;
  /** Where clients find this member. Default: http:// and the address it listens on. */
  readonly clientUrls?: readonly string[];
  /** "extensive": calls are timed too. */
  readonly metrics?: "basic" | "extensive";
  readonly timing?: MemberTiming;
  /** When this member, leading, refuses changes of membership; etcd's defaults where left out. */
  readonly changePolicy?: Partial<ChangePolicy>;
  /** Leaders answer reads by their lease (docs/decisions/0014 says when that is safe). Default false. */
  readonly leaseReads?: boolean;
  /** The others are lost for good: the first life here removes them from its log (--force-new-cluster). */
  readonly forceAlone?: boolean;
  /** Between two progress messages to an idle watcher. Default 10 minutes. */
  readonly watchProgressMs?: number;
  /** Entries that gather in a log beyond its margin before they go. Default 100,000. */
  readonly snapshotEntries?: number;
  /** The margin, for members that lag; who lags more gets the whole state. Default 10,000. */
  readonly catchUpEntries?: number;
  /** Lines of JSON on stderr. Default "silent". */
  readonly logLevel?: LogLevel;
  /** Called when the member goes down after it served, comes back or stays down for good. */
  readonly onMember?: (notice: MemberNotice) => void;
}

/** What the member's thread is told at its birth. */
export function threadDataOf(options: SoloOptions): Omit<MemberThreadData, "sharedFiles" | "gate"> {
  const { seed, self, listenPeers, peerTls, listenClient } = options;
  return {
    name: self.name,
    id: self.id,
    clusterId: seed.clusterId,
    listen: listenClient,
    ...(options.door && { door: options.door }),
    ...(options.metrics && { metrics: options.metrics }),
    mesh: {
      ...{ listen: listenPeers, urls: self.peerUrls },
      ...(peerTls === undefined ? {} : { tls: peerTls }),
    },
    timing: options.timing ?? defaultTiming,
    leaseReads: options.leaseReads ?? false,
    ...(options.changePolicy && { changePolicy: options.changePolicy }),
    ...(options.watchProgressMs && { watchProgressMs: options.watchProgressMs }),
    compaction: compactionOf(options),
    logLevel: options.logLevel ?? "silent",
  };
}

export class SoloMember {
  readonly #options: SoloOptions;
  readonly #log: Log;
  readonly #supervisor: Supervisor;
  readonly #waiters = new Waiters();
  #home: Promise<Home> | undefined;
  /** Ports are bound and the directory is ours: later lives begin by themselves. */
  #started = false;
  /** It served once. */
  #served = false;
  #failure: string | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: SoloOptions) {
    const { self, logLevel = "silent" } = options;
    this.#options = options;
    this.#log = systemLog({ level: logLevel, caller: "cluster" });
    const data = threadDataOf(options);
    this.#supervisor = new Supervisor(data, { id: self.id, log: this.#log, hooks: this.#hooks() });
  }

  get state(): MemberState {
    return this.#supervisor.state;
  }

  /** Where clients find this member; final once `start` resolved. */
  get clientUrls(): readonly string[] {
    return this.#options.clientUrls ?? [`http://${this.#supervisor.endpoint}`];
  }

  /** True once `onMember` was told that it stays down for good. */
  get failed(): boolean {
    return this.#served && this.#failure !== undefined;
  }

  /**
   * Resolves when the member has opened its data and listens. Called once.
   *
   * @throws {StartError | DataDirError} for a port or directory that cannot be used, and when `close`
   *         is called meanwhile. Nothing is left running then; a port or a directory that is not ours
   *         is noticed before anything on disk is touched.
   */
  async start(): Promise<void> {
    try {
      this.#supervisor.spawn();
      await this.#until(() => this.state === "bound");
      await this.#claim();
      this.#started = true;
      await this.#boot();
      await this.#until(() => this.state === "serving");
      this.#served = true;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /**
   * Resolves when the member serves and knows a leader: a majority of the members runs.
   *
   * @throws {StartError} when the member failed for good, or `close` was called.
   */
  leaderKnown(): Promise<void> {
    return this.#until(() => this.state === "serving" && this.#supervisor.leader !== 0n);
  }

  /** Stops the member in order; what was answered is on disk. Safe to call twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#supervisor.stop({ handOver: true });
    this.#waiters.wake();
    const home = await this.#home?.catch(() => undefined);
    await home?.release();
  }

  async #claim(): Promise<void> {
    const { seed, self, dataDir } = this.#options;
    try {
      // The cluster id is made of all members, so it vouches for the others as well.
      this.#home = openHome({ clusterId: seed.clusterId, members: [self] }, dataDir);
      await this.#home;
    } catch (error) {
      const kind = error instanceof DataDirError ? error.trouble.kind : undefined;
      if (kind !== "otherCluster" && kind !== "otherMembers") throw error;
      throw new StartError(
        `${dataDir} was made for another member or cluster: name, token and initial cluster must be those of its first start`,
        { cause: error },
      );
    }
  }

  async #boot(): Promise<void> {
    const home = await this.#home;
    if (home === undefined) return;
    const { seed, self } = this.#options;
    this.#supervisor.start(await home.boot(self.id), {
      clientUrls: this.clientUrls,
      members: this.#memberInfos(),
      begunWith: self.joined === true ? [] : seed.members.map(({ id }) => id),
      // Who was added since then stays.
      forceAlone: this.#options.forceAlone === true && !this.#served,
    });
  }

  async #rejoin(): Promise<void> {
    try {
      await this.#boot();
    } catch (error) {
      this.#supervisor.giveUp(error);
    }
  }

  #hooks(): SupervisorHooks {
    return {
      onBound: () => {
        if (this.#started) void this.#rejoin();
        this.#waiters.wake();
      },
      onServing: () => {
        this.#notify("serving", "");
        this.#waiters.wake();
      },
      onLeader: () => this.#waiters.wake(),
      onDown: (_supervisor, why) => {
        // At the first start a person is watching: one clear failure is better than many tries.
        if (!this.#served) this.#failure ??= why;
        this.#notify("down", why);
        this.#waiters.wake();
      },
      onFailed: (_supervisor, why) => this.#fail("failed", why),
      onRemoved: (_supervisor, why) => this.#fail("removed", why),
    };
  }

  #fail(kind: "failed" | "removed", why: string): void {
    this.#failure = why;
    this.#notify(kind, why);
    this.#waiters.wake();
  }

  #notify(kind: MemberNotice["kind"], why: string): void {
    if (!this.#served || this.#closing !== undefined) return;
    this.#options.onMember?.({ name: this.#options.self.name, kind, why });
  }

  #until(reached: () => boolean): Promise<void> {
    return this.#waiters.until(() => {
      if (this.#closing !== undefined) throw new StartError("the member was stopped");
      if (this.#failure !== undefined) throw new StartError(this.#failure);
      return reached();
    });
  }

  /** Of the others the client URLs are not known before they connect. */
  #memberInfos(): readonly MemberInfo[] {
    const { seed, self } = this.#options;
    return seed.members.map(({ id, name, peerUrls }) => ({
      id,
      name,
      peerUrls,
      clientUrls: id === self.id ? this.clientUrls : [],
      isLearner: false,
    }));
  }
}
