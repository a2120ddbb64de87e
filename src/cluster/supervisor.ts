// Starts a member's thread, watches it, and starts it again when it dies: the state of one member.
import type { MemberId } from "../base/brand.ts";
import type { Log } from "../base/ports.ts";
import type { Role } from "../raft/types.ts";
import { DataDirError } from "../storage/dataDirError.ts";
import type { SharedFiles } from "../storage/sharedDisk.ts";
import { addressText } from "./address.ts";
import type { Boot } from "./home.ts";
import { MemberThread } from "./memberThread.ts";
import type { FromMember, MemberThreadData, ToMember } from "./protocol.ts";

/** Pause before a dead member is started again: doubles with each death, up to the maximum. */
export const restartDelayMsMin = 100;
export const restartDelayMsMax = 30_000;
/** A member that lived this long is healthy again: the next pause is the shortest. */
export const healthyAfterMs = 60_000;

export type MemberState = "down" | "binding" | "bound" | "serving" | "failed" | "removed";

export interface SupervisorHooks {
  /** New life: give it its incarnation, its peers and its clients. */
  onBound(supervisor: Supervisor): void;
  onServing(supervisor: Supervisor, log: { lastIndex: number; lastTerm: number }): void;
  onLeader(supervisor: Supervisor): void;
  onDown(supervisor: Supervisor, why: string): void;
  /** Starting again cannot help. */
  onFailed(supervisor: Supervisor, why: string): void;
  /** It is no member any more. */
  onRemoved(supervisor: Supervisor, why: string): void;
  /** Who else was removed, as this one has applied it. */
  onOthersRemoved?(ids: readonly bigint[]): void;
}

/** What a life is told beside its boot. */
export type StartedLife = Pick<
  Extract<ToMember, { kind: "start" }>,
  "clientUrls" | "members" | "begunWith" | "forceAlone"
>;

export class Supervisor {
  readonly id: MemberId;
  readonly name: string;
  readonly #data: Omit<MemberThreadData, "listen" | "sharedFiles" | "gate">;
  readonly #host: string;
  readonly #log: Log;
  readonly #hooks: SupervisorHooks;
  /** What a member without a disk must not forget when its thread dies. */
  readonly #sharedFiles: SharedFiles = new Map();
  #port: number;
  #thread: MemberThread | undefined;
  #state: MemberState = "down";
  #fault: Omit<Extract<FromMember, { kind: "fault" }>, "kind"> | undefined;
  #restartTimer: NodeJS.Timeout | undefined;
  #restartDelayMs = restartDelayMsMin;
  #servingSinceMs = 0;
  #boot: Boot | undefined;
  #wanted = false;
  role: Role = "follower";
  leader = 0n;

  constructor(
    data: Omit<MemberThreadData, "sharedFiles" | "gate">,
    parts: { id: MemberId; log: Log; hooks: SupervisorHooks },
  ) {
    const { listen, ...rest } = data;
    this.id = parts.id;
    this.name = data.name;
    this.#data = rest;
    this.#host = listen.host;
    this.#port = listen.port;
    this.#log = parts.log;
    this.#hooks = parts.hooks;
  }

  get state(): MemberState {
    return this.#state;
  }

  /** host:port of the client door; the port is known once bound and kept over restarts. */
  get endpoint(): string {
    return addressText({ host: this.#host, port: this.#port });
  }

  /** Begins a life. The thread binds its port first and touches nothing else before `start`. */
  spawn(): void {
    clearTimeout(this.#restartTimer);
    this.#wanted = true;
    this.#state = "binding";
    this.#fault = undefined;
    const thread = new MemberThread(
      {
        ...this.#data,
        listen: { host: this.#host, port: this.#port },
        sharedFiles: this.#sharedFiles,
      },
      {
        onMessage: (message) => this.#onMessage(message),
        onExit: (error) => this.#onExit(thread, error),
      },
    );
    this.#thread = thread;
  }

  /** Second step of a life, after all members are bound. */
  start(boot: Boot, life: StartedLife): void {
    this.#boot = boot;
    const { incarnation, birth, folders, mayCreate } = boot;
    this.post({ kind: "start", incarnation, birth, folders, mayCreate, ...life });
  }

  /** Dropped when the member is down: what matters is said again to its next life. */
  post(message: ToMember): void {
    this.#thread?.post(message);
  }

  /** @param options.handOver the other members of the cluster go on. */
  async stop(options: { readonly handOver: boolean }): Promise<void> {
    this.#wanted = false;
    clearTimeout(this.#restartTimer);
    await this.#thread?.stop(options);
  }

  /** Crashes the thread and leaves it down until `spawn`. */
  async kill(): Promise<void> {
    this.#wanted = false;
    clearTimeout(this.#restartTimer);
    await this.#thread?.kill();
  }

  /**
   * Its life cannot begin: `error` is what stood in the way. A disk that fails or is full may be better
   * at the next try; a damaged directory will not.
   */
  giveUp(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    const permanent = !(error instanceof DataDirError && error.trouble.kind === "io");
    this.#fault = { message, permanent };
    void this.#thread?.kill();
  }

  #onMessage(message: FromMember): void {
    switch (message.kind) {
      case "bound":
        this.#port = message.port;
        this.#state = "bound";
        this.#hooks.onBound(this);
        break;
      case "started":
        this.#state = "serving";
        this.#servingSinceMs = performance.now();
        void this.#markStarted();
        this.#hooks.onServing(this, message);
        break;
      case "leader":
        this.role = message.role;
        this.leader = message.leader;
        this.#hooks.onLeader(this);
        break;
      case "fileCreated":
        this.#sharedFiles.set(message.name, message.buffer);
        break;
      case "fileRemoved":
        this.#sharedFiles.delete(message.name);
        break;
      case "removed":
        this.#hooks.onOthersRemoved?.(message.ids);
        break;
      case "fault":
        this.#fault = message;
        break;
    }
  }

  #onExit(thread: MemberThread, error: Error | undefined): void {
    if (this.#thread !== thread) return;
    this.#thread = undefined;
    const lived = this.#state === "serving" ? performance.now() - this.#servingSinceMs : 0;
    this.role = "follower";
    this.leader = 0n;
    this.#state = "down";
    const why = this.#fault?.message ?? error?.stack ?? "its thread was stopped";
    if (this.#fault?.removed === true) {
      this.#state = "removed";
      this.#hooks.onRemoved(this, why);
    } else if (!this.#wanted) {
      this.#hooks.onDown(this, why);
    } else if (this.#fault?.permanent === true) {
      this.#state = "failed";
      this.#hooks.onFailed(this, why);
    } else {
      this.#hooks.onDown(this, why);
      this.#scheduleRestart(lived);
    }
  }

  async #markStarted(): Promise<void> {
    try {
      await this.#boot?.started();
    } catch (error) {
      this.#log.error("the data directory cannot be written to", { why: String(error) });
    }
  }

  #scheduleRestart(livedMs: number): void {
    if (livedMs >= healthyAfterMs) this.#restartDelayMs = restartDelayMsMin;
    this.#log.warn("member is started again", { member: this.name, delayMs: this.#restartDelayMs });
    this.#restartTimer = setTimeout(() => this.spawn(), this.#restartDelayMs);
    this.#restartDelayMs = Math.min(2 * this.#restartDelayMs, restartDelayMsMax);
  }
}
