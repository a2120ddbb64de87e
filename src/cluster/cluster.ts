// A whole cluster in this process: the face that programs, tests, benchmarks and `quorlet dev` use.

import { MessageChannel } from "node:worker_threads";
import { MemberId } from "../base/brand.ts";
import type { Log } from "../base/ports.ts";
import { type LogFormat, type LogLevel, systemLog } from "../base/system.ts";
import type { Channel } from "../client/channel.ts";
import { Client } from "../client/client.ts";
import { LaneChannel } from "../client/laneChannel.ts";
import { untilAnswered } from "../client/retry.ts";
import type { ChangePolicy } from "../member/changeRequest.ts";
import { defaultTiming, type MemberTiming } from "../member/events.ts";
import type { MemberInfo } from "../member/service.ts";
import { compactionOf } from "./compaction.ts";
import { Faults } from "./faults.ts";
import { type Home, openHome, planCluster } from "./home.ts";
import { type ClusterSeed, isWhole, type MemberSeed } from "./identity.ts";
import { Mesh } from "./mesh.ts";
import { overMessagePort } from "./messageLane.ts";
import { askToAdd, askToRemove } from "./operator.ts";
import { StartError } from "./startError.ts";
import { type MemberState, Supervisor, type SupervisorHooks } from "./supervisor.ts";
import { Waiters } from "./waiters.ts";

export interface ClusterOptions {
  /** Raft members, from 1. Default 3. */
  readonly members?: number;
  /** Folder for the data, made if missing; without it everything is in memory. */
  readonly dataDir?: string;
  /** Client ports, one per member; 0 or missing: any free port. */
  readonly clientPorts?: readonly number[];
  /** Address to listen on. Default 127.0.0.1. */
  readonly host?: string;
  readonly timing?: MemberTiming;
  /** When changes of members are refused, and whether learners wait to be promoted; etcd's defaults. */
  readonly changePolicy?: Partial<ChangePolicy>;
  /** Leaders answer reads by their lease (docs/decisions/0014 says when that is safe). Default false. */
  readonly leaseReads?: boolean;
  /** Between two progress messages to an idle watcher. Default 10 minutes. */
  readonly watchProgressMs?: number;
  /** Entries that gather in a log beyond its margin before they go. Default 100,000. */
  readonly snapshotEntries?: number;
  /** The margin, for members that lag; who lags more gets the whole state. Default 10,000. */
  readonly catchUpEntries?: number;
  /** Lines on stderr. Default "silent". */
  readonly logLevel?: LogLevel;
  /** Default "json"; "text" is for people. */
  readonly logFormat?: LogFormat;
  /** Called when a member goes down, comes back or stays down for good. */
  readonly onMember?: (event: MemberNotice) => void;
}

export interface MemberNotice {
  readonly name: string;
  readonly kind: "down" | "serving" | "failed" | "removed";
  /** Why it is down; one line or a stack. */
  readonly why: string;
}

/** One member, as the owner of the cluster sees it. */
export interface MemberHandle {
  readonly name: string;
  readonly id: bigint;
  /** host:port of its client door. */
  readonly endpoint: string;
  readonly state: MemberState;
  readonly role: "leader" | "follower";
  /** Crashes its thread: nothing more is written. It stays down until `restart`. */
  kill(): Promise<void>;
  /** Starts it again; resolves when it serves. */
  restart(): Promise<void>;
}

const noSupervisors: readonly Supervisor[] = [];

/** Longest wait for a quorum at the start. */
export const readyMsMax = 30_000;

export class Cluster implements AsyncDisposable {
  /** To see what happens when threads die, stand still or do not hear one another. */
  readonly faults: Faults;
  readonly #options: ClusterOptions;
  readonly #log: Log;
  readonly #seed: ClusterSeed;
  /** Changes with the members; others hold this very array. */
  readonly #supervisors: Supervisor[];
  /** How the members began, by id. */
  readonly #seeds: Map<MemberId, MemberSeed>;
  readonly #mesh: Mesh;
  readonly #clients = new Set<LaneChannel>();
  readonly #logEnds = new Map<MemberId, { lastIndex: number; lastTerm: number }>();
  /** Told about every step of every member. */
  readonly #waiters = new Waiters();
  #home: Home | undefined;
  /** The ends of members that were removed; who asked for it and who noticed it wait for the same. */
  readonly #dismissals = new Map<MemberId, Promise<void>>();
  /** Of all members that there ever were. */
  readonly #names: Set<string>;
  /** Why members are down that were wanted, by id. */
  readonly #failures = new Map<MemberId, string>();
  /** Members that come up from now on come back. */
  #started = false;
  /** The first start is over, well. */
  #ready = false;
  #closing: Promise<void> | undefined;

  private constructor(options: ClusterOptions, seed: ClusterSeed) {
    this.#options = options;
    this.#seed = seed;
    this.#names = new Set(seed.members.map(({ name }) => name));
    this.#log = systemLog({
      level: options.logLevel ?? "silent",
      caller: "cluster",
      format: options.logFormat,
    });
    this.#mesh = new Mesh((member, { peer, port }) =>
      this.#supervisor(member).post({ kind: "peer", peer, port }),
    );
    const present = seed.members.filter(({ removed }) => !removed);
    this.#seeds = new Map(present.map((member) => [member.id, member]));
    this.#supervisors = present.map((member, i) =>
      this.#newSupervisor(member, options.clientPorts?.[i] ?? 0),
    );
    this.faults = new Faults(this.#supervisors);
  }

  /**
   * Resolves when a put can be answered.
   *
   * @throws {RangeError} for a count of members that cannot be.
   * @throws {StartError | DataDirError} for a port or directory that cannot be used. Nothing is left
   *         running then, and a directory that is not ours was not touched.
   */
  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const { members = 1 } = options;
    if (!Number.isInteger(members) || members < 1) {
      throw new RangeError(`a cluster has at least 1 member, not ${members}`);
    }
    const { seed } = await planCluster(options.members ?? 3, options.dataDir);
    if (!isWhole(seed)) {
      throw new StartError(
        `${options.dataDir} holds one member of a larger cluster: start it with quorlet member`,
      );
    }
    const count = seed.members.filter(({ removed }) => !removed).length;
    const wanted = options.members ?? count;
    if (count !== wanted) {
      throw new StartError(`${options.dataDir} holds a cluster of ${count} members, not ${wanted}`);
    }
    const cluster = new Cluster(options, seed);
    try {
      await cluster.#start();
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  /** host:port of each member's client door, in the order of `member`. */
  get endpoints(): readonly string[] {
    return this.#supervisors.map((supervisor) => supervisor.endpoint);
  }

  get members(): readonly MemberHandle[] {
    return this.#supervisors.map((_, i) => this.member(i));
  }

  get clusterId(): bigint {
    return this.#seed.clusterId;
  }

  /** @param i from 0. @throws {RangeError} for no member of this cluster. */
  member(i: number): MemberHandle {
    const supervisor = this.#supervisors[i];
    if (supervisor === undefined) throw new RangeError(`there is no member ${i}`);
    return {
      name: supervisor.name,
      id: supervisor.id,
      endpoint: supervisor.endpoint,
      state: supervisor.state,
      role: supervisor.role === "leader" ? "leader" : "follower",
      kill: () => this.faults.kill(supervisor.name),
      restart: () => this.#restart(supervisor),
    };
  }

  /**
   * Adds a member: a thread of this process that begins with an empty log. Resolves when it serves and
   * hears from a leader; it may still have to catch up.
   *
   * @throws {EtcdError} when the cluster refuses: a quorum must work, learners are limited.
   */
  async addMember({ learner = false }: { learner?: boolean } = {}): Promise<MemberHandle> {
    const name = this.#freeName();
    this.#names.add(name);
    const peerUrls = [`inproc://${name}`];
    const id = MemberId(
      await this.#asOperator((channel) => askToAdd(channel, { peerUrls, learner })),
    );
    const seed = { name, id, peerUrls, joined: true };
    await this.#home?.enlist(seed);
    const supervisor = this.#newSupervisor(seed, 0);
    this.#seeds.set(id, seed);
    this.#supervisors.push(supervisor);
    supervisor.spawn();
    await this.#until(
      () => supervisor.state === "serving" && supervisor.leader !== 0n,
      [supervisor],
    );
    return this.member(this.#supervisors.indexOf(supervisor));
  }

  /**
   * Removes a member for good and ends its thread.
   *
   * @throws {EtcdError} when the cluster refuses: what is left must be able to work.
   */
  async removeMember(id: bigint): Promise<void> {
    await this.#asOperator((channel) => askToRemove(channel, id));
    await this.#dismiss(MemberId(id));
  }

  /** A client within this process, over MessagePorts; close it when done, or with the cluster. */
  client(): Client {
    return new Client(this.connect());
  }

  /** What a client sends its calls through: a port to every member. */
  connect(): LaneChannel {
    const client = new LaneChannel({ onClose: () => this.#clients.delete(client) });
    this.#clients.add(client);
    for (const supervisor of this.#supervisors) {
      if (supervisor.state !== "down" && supervisor.state !== "failed") {
        this.#attach(client, supervisor);
      }
    }
    return client;
  }

  /** Stops all members in order; what was answered is on disk. Safe to call twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #asOperator<T>(ask: (channel: Channel) => Promise<T>): Promise<T> {
    const channel = this.connect();
    try {
      return await ask(channel);
    } finally {
      channel.close();
    }
  }

  /** The cluster has removed it: its thread ends, if it has not by itself. */
  #dismiss(id: MemberId): Promise<void> {
    const begun = this.#dismissals.get(id) ?? this.#dismissOnce(id);
    this.#dismissals.set(id, begun);
    return begun;
  }

  async #dismissOnce(id: MemberId): Promise<void> {
    const i = this.#supervisors.findIndex((supervisor) => supervisor.id === id);
    const [supervisor] = i < 0 ? [] : this.#supervisors.splice(i, 1);
    if (supervisor === undefined) return;
    this.#seeds.delete(id);
    this.#failures.delete(id);
    this.#detach(id);
    await supervisor.stop({ handOver: false });
    await this.#home?.retire(id);
    this.#notify(supervisor, "removed", `${supervisor.name} was removed from the cluster`);
  }

  #begunWith(): readonly MemberId[] {
    return this.#seed.members.filter(({ joined }) => !joined).map(({ id }) => id);
  }

  #freeName(): string {
    for (let i = 1; ; i++) if (!this.#names.has(`m${i}`)) return `m${i}`;
  }

  #newSupervisor({ name, id }: MemberSeed, port: number): Supervisor {
    const { host = "127.0.0.1", timing = defaultTiming, logLevel = "silent" } = this.#options;
    const { logFormat = "json" } = this.#options;
    const { watchProgressMs, changePolicy, leaseReads = false } = this.#options;
    const data = {
      ...{ name, id, clusterId: this.#seed.clusterId, listen: { host, port } },
      ...{ timing, leaseReads, logLevel, logFormat },
      ...(watchProgressMs && { watchProgressMs }),
      ...(changePolicy && { changePolicy }),
      compaction: compactionOf(this.#options),
    };
    return new Supervisor(data, { id, log: this.#log, hooks: this.#hooks() });
  }

  async #start(): Promise<void> {
    for (const supervisor of this.#supervisors) supervisor.spawn();
    await this.#until(() => this.#all("bound"));
    this.#home = await openHome(this.#seed, this.#options.dataDir);
    for (const supervisor of this.#supervisors) await this.#boot(supervisor);
    this.#mesh.connect(this.#supervisors.map((supervisor) => supervisor.id));
    this.#started = true;
    await this.#untilQuorumServes();
    this.#electBest();
    await this.#awaitQuorum();
    this.#ready = true;
    // A member that cannot serve does not hold back the others, but a person should know.
    for (const supervisor of this.#supervisors) {
      const why = this.#failures.get(supervisor.id);
      if (why !== undefined) this.#notify(supervisor, "failed", why);
    }
  }

  async #untilQuorumServes(): Promise<void> {
    const serving = (): number =>
      this.#supervisors.filter(({ state }) => state === "serving").length;
    await this.#until(
      () => serving() + this.#failures.size >= this.#supervisors.length,
      noSupervisors,
    );
    if (2 * serving() > this.#supervisors.length) return;
    const [why = "no quorum of members serves"] = this.#failures.values();
    throw new StartError(why);
  }

  async #close(): Promise<void> {
    for (const client of [...this.#clients]) client.close();
    this.faults.mend();
    await Promise.all(this.#supervisors.map((supervisor) => supervisor.stop({ handOver: false })));
    await this.#home?.release();
    this.#waiters.wake();
  }

  async #boot(supervisor: Supervisor): Promise<void> {
    if (this.#home === undefined) return;
    try {
      supervisor.start(await this.#home.boot(supervisor.id), {
        clientUrls: [`http://${supervisor.endpoint}`],
        members: this.#memberInfos(),
        begunWith: this.#seeds.get(supervisor.id)?.joined === true ? [] : this.#begunWith(),
      });
    } catch (error) {
      supervisor.giveUp(error);
    }
  }

  // All logs are at hand: the member with the newest one needs no election timeout to be chosen.
  #electBest(): void {
    const ends = [...this.#logEnds].sort(
      ([, a], [, b]) => b.lastTerm - a.lastTerm || b.lastIndex - a.lastIndex,
    );
    const best = ends[0];
    if (best !== undefined) this.#supervisor(best[0]).post({ kind: "campaign" });
  }

  /** A linearizable read proves that a leader of this term has committed and answers. */
  async #awaitQuorum(): Promise<void> {
    await this.#until(() => this.#supervisors.some(({ role }) => role === "leader"), noSupervisors);
    const client = this.client();
    const signal = AbortSignal.timeout(readyMsMax);
    try {
      await untilAnswered(() => client.get("quorlet/ready", { countOnly: true, signal }), signal);
    } catch (error) {
      throw signal.aborted ? new StartError("the cluster did not get ready") : error;
    } finally {
      client.close();
    }
  }

  /** @throws {StartError} also when the cluster removes it meanwhile. */
  async #restart(supervisor: Supervisor): Promise<void> {
    this.#refuseGone([supervisor]);
    this.#failures.delete(supervisor.id);
    if (supervisor.state === "down" || supervisor.state === "failed") supervisor.spawn();
    await this.#until(() => supervisor.state === "serving", [supervisor]);
  }

  #hooks(): SupervisorHooks {
    return {
      onBound: (supervisor) => {
        // At the first start all members begin together, when every port is known.
        if (this.#started) void this.#rejoin(supervisor);
        this.#waiters.wake();
      },
      onServing: (supervisor, end) => {
        this.#failures.delete(supervisor.id);
        this.#logEnds.set(supervisor.id, end);
        this.#notify(supervisor, "serving", "");
      },
      onLeader: () => this.#waiters.wake(),
      onDown: (supervisor, why) => {
        // At the first start a person is watching: one clear failure is better than many tries.
        if (!this.#ready) this.#failures.set(supervisor.id, why);
        this.#detach(supervisor.id);
        this.#notify(supervisor, "down", why);
      },
      onFailed: (supervisor, why) => {
        this.#failures.set(supervisor.id, why);
        this.#detach(supervisor.id);
        this.#notify(supervisor, "failed", why);
      },
      onRemoved: (supervisor) => this.#dismissLater(supervisor.id),
      onOthersRemoved: (ids) => {
        for (const id of ids) this.#dismissLater(MemberId(id));
      },
    };
  }

  #dismissLater(id: MemberId): void {
    this.#dismiss(id).catch((error: unknown) => {
      this.#log.error("a removed member is not noted", { why: String(error) });
    });
  }

  async #rejoin(supervisor: Supervisor): Promise<void> {
    await this.#boot(supervisor);
    this.faults.onBound(supervisor);
    this.#mesh.redraw(supervisor.id);
    for (const client of this.#clients) this.#attach(client, supervisor);
  }

  #notify(supervisor: Supervisor, kind: MemberNotice["kind"], why: string): void {
    this.#waiters.wake();
    if (this.#ready && this.#closing === undefined) {
      this.#options.onMember?.({ name: supervisor.name, kind, why });
    }
  }

  /** Whoever talked to this member learns that it is gone before anybody is told that it is down. */
  #detach(id: MemberId): void {
    this.#mesh.remove(id);
    for (const client of this.#clients) client.detach(`${id}`);
  }

  #attach(client: LaneChannel, supervisor: Supervisor): void {
    const { port1, port2 } = new MessageChannel();
    client.attach(`${supervisor.id}`, overMessagePort(port1), { member: supervisor.id });
    supervisor.post({ kind: "client", port: port2 });
  }

  #memberInfos(): readonly MemberInfo[] {
    return [...this.#seeds.values()].map(({ name, id, peerUrls }) => ({
      id,
      name,
      peerUrls,
      clientUrls: [`http://${this.#supervisor(id).endpoint}`],
      isLearner: false,
    }));
  }

  #supervisor(id: MemberId): Supervisor {
    const found = this.#supervisors.find((supervisor) => supervisor.id === id);
    if (found === undefined) throw new RangeError(`there is no member ${id.toString(16)}`);
    return found;
  }

  #all(state: MemberState): boolean {
    return this.#supervisors.every((supervisor) => supervisor.state === state);
  }

  /** @throws {StartError} when there is nothing to wait for any more. */
  #refuseGone(needed: readonly Supervisor[]): void {
    const gone = needed.find((supervisor) => !this.#supervisors.includes(supervisor));
    if (gone !== undefined) throw new StartError(`${gone.name} was removed from the cluster`);
    if (this.#closing !== undefined) throw new StartError("the cluster was closed");
  }

  /** Waits for a step of `needed` members that makes `reached` true. @throws {StartError} */
  async #until(
    reached: () => boolean,
    needed: readonly Supervisor[] = this.#supervisors,
  ): Promise<void> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#waiters.wake();
    }, readyMsMax);
    try {
      await this.#waiters.until(() => {
        if (reached()) return true;
        const failure = needed.map(({ id }) => this.#failures.get(id)).find((why) => why);
        if (failure !== undefined) throw new StartError(failure);
        this.#refuseGone(needed);
        if (late) throw new StartError("the cluster did not get ready");
        return false;
      });
    } finally {
      clearTimeout(timer);
    }
  }
}
