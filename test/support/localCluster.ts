// Members of one cluster in one thread, joined by queues that the test turns: no clock, no threads.

import { LogIndex, MemberId } from "../../src/base/brand.ts";
import { copyBytes } from "../../src/base/bytes.ts";
import { type Log, silentLog } from "../../src/base/ports.ts";
import { Prng } from "../../src/base/prng.ts";
import { bootMember } from "../../src/member/boot.ts";
import type { ChangePolicy } from "../../src/member/changeRequest.ts";
import { defaultTiming } from "../../src/member/events.ts";
import type { CompactionBounds } from "../../src/member/logCompaction.ts";
import type { Member } from "../../src/member/member.ts";
import type { MemberConfig } from "../../src/member/memberParts.ts";
import type { MemberInfo } from "../../src/member/service.ts";
import type { Membership } from "../../src/raft/types.ts";
import { MemoryEngine, type MemoryEngineOptions } from "../../src/storage/memory.ts";
import { MemoryStoreHome } from "../../src/storage/memoryHome.ts";
import { MemoryLog } from "../../src/storage/memoryLog.ts";
import type { PeerLink } from "../../src/transport/link.ts";

export interface LocalOptions {
  readonly changePolicy?: Partial<ChangePolicy>;
  readonly compaction?: Partial<CompactionBounds>;
  readonly leaseCheckpointSec?: number;
  readonly recentBytesMax?: number;
  readonly log?: Log;
  /** Makes the store of each member; a plain one when left out. */
  readonly engineOf?: (options: MemoryEngineOptions) => MemoryEngine;
}

export interface Frame {
  readonly from: MemberId;
  readonly to: MemberId;
  readonly bytes: Uint8Array;
}

interface Disk {
  log: MemoryLog;
  home: MemoryStoreHome;
  incarnation: number;
}

export class LocalCluster {
  readonly ids: MemberId[];
  readonly members = new Map<MemberId, Member>();
  /** Members whose frames, in and out, are lost. */
  readonly cut = new Set<MemberId>();
  /** Members that stand still; what they are sent waits for them. */
  readonly paused = new Set<MemberId>();
  readonly #disks = new Map<MemberId, Disk>();
  /** Frames for which it says so are lost. */
  isLost: (frame: Frame) => boolean = () => false;
  /** Called before anything happens to anybody: a turn, a frame, a completion. */
  onStep: () => void = () => {};
  readonly #random: Prng;
  #frames: Frame[] = [];
  #deferred: (() => void)[] = [];
  #nowMs = 0;
  /** Members that asked for another turn. */
  readonly #turnsDue = new Set<MemberId>();
  readonly faults: Error[] = [];
  /** Members that were told that they are removed. */
  readonly removed: MemberId[] = [];
  readonly #options: LocalOptions;
  readonly #first: readonly MemberInfo[];

  constructor(count: number, seed = 1, options: LocalOptions = {}) {
    this.#random = new Prng(seed);
    this.#options = options;
    this.ids = Array.from({ length: count }, (_, i) => MemberId(BigInt(i + 1)));
    this.#first = this.ids.map((id) => {
      const peerUrls = [`http://m${id}:2380`];
      return { id, name: `m${id}`, peerUrls, clientUrls: [], isLearner: false };
    });
    for (const id of this.ids) {
      this.#disks.set(id, this.#newDisk(this.#begun));
      this.start(id);
    }
  }

  /** A member with an empty disk, that was or will be added. */
  join(id: MemberId): Member {
    this.ids.push(id);
    this.#disks.set(id, this.#newDisk({ voters: [], outgoing: [], learners: [] }));
    return this.start(id);
  }

  get #begun(): Membership {
    return { voters: this.#first.map(({ id }) => id), outgoing: [], learners: [] };
  }

  #newDisk(membership: Membership): Disk {
    const defer = (run: () => void): void => void this.#deferred.push(run);
    const engine = this.#options.engineOf?.({ defer }) ?? new MemoryEngine({ defer });
    return {
      log: new MemoryLog({ membership }),
      home: new MemoryStoreHome({ defer }, engine),
      incarnation: 0,
    };
  }

  /** @param more settings of this life alone. */
  start(id: MemberId, more: Pick<MemberConfig, "forceAlone"> = {}): Member {
    const disk = this.#disks.get(id);
    if (disk === undefined) throw new Error(`no member ${id}`);
    disk.incarnation++;
    const link: PeerLink = {
      send: (to, bytes) => void this.#frames.push({ from: id, to, bytes }),
      sendBulk: (to, bytes) => {
        this.#frames.push({ from: id, to, bytes: copyBytes(bytes) });
        return true;
      },
      onFrame: undefined,
      connected: () => true,
      close: () => {},
    };
    const config = {
      clusterId: 9n,
      id,
      incarnation: disk.incarnation,
      timing: defaultTiming,
      members: this.#first,
      told: { birth: Number(id), name: `m${id}`, clientUrls: [`http://m${id}:2379`] },
      ...this.#options,
      ...more,
    };
    const member = bootMember(config, {
      clock: { nowMs: () => this.#nowMs },
      random: this.#random,
      log: this.#options.log ?? silentLog,
      link,
      raftLog: disk.log,
      home: disk.home,
      requestTurn: () => void this.#turnsDue.add(id),
      fail: (error) => void this.faults.push(error),
      onRemoved: () => void this.removed.push(id),
    });
    this.members.set(id, member);
    return member;
  }

  /** The member is gone; what its log and store had completed stays. */
  crash(id: MemberId): void {
    this.members.delete(id);
    const disk = this.#disks.get(id);
    if (disk === undefined) throw new Error(`no member ${id}`);
    disk.log = disk.log.afterCrash();
    disk.home = disk.home.afterCrash(disk.log.base());
    this.#frames = this.#frames.filter((frame) => frame.from !== id && frame.to !== id);
  }

  /** Everything that a member that is down had is gone. */
  wipe(id: MemberId): void {
    const incarnation = this.#disks.get(id)?.incarnation ?? 0;
    this.#disks.set(id, { ...this.#newDisk(this.#begun), incarnation });
  }

  logOf(id: MemberId): MemoryLog {
    const disk = this.#disks.get(id);
    if (disk === undefined) throw new Error(`no member ${id}`);
    return disk.log;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  member(id: MemberId): Member {
    const member = this.members.get(id);
    if (member === undefined) throw new Error(`member ${id} is down`);
    return member;
  }

  leader(): Member {
    for (const member of this.members.values()) {
      const isAway = this.cut.has(member.id) || this.paused.has(member.id);
      if (member.status().role === "leader" && !isAway) return member;
    }
    throw new Error("no leader");
  }

  /** Lets everything that can happen without time passing happen. */
  settle(): void {
    for (let round = 0; round < 10_000; round++) {
      for (const { id } of this.#running()) {
        this.onStep();
        this.#turnsDue.delete(id);
        this.members.get(id)?.turn();
      }
      const frames = this.#frames.filter(({ to }) => !this.paused.has(to));
      const waiting = this.#frames.filter(({ to }) => this.paused.has(to));
      const deferred = this.#deferred;
      this.#frames = waiting;
      this.#deferred = [];
      const isTurnDue = this.#running().some(({ id }) => this.#turnsDue.has(id));
      if (frames.length === 0 && deferred.length === 0 && !isTurnDue) return;
      for (const run of deferred) {
        this.onStep();
        run();
      }
      for (const frame of frames) {
        const { from, to, bytes } = frame;
        this.onStep();
        if (this.cut.has(from) || this.cut.has(to) || this.isLost(frame)) continue;
        this.members.get(to)?.handle({ kind: "frame", from, bytes });
      }
    }
    throw new Error("the cluster does not come to rest");
  }

  /** Time passes for all members, `count` ticks. */
  tick(count: number): void {
    for (let i = 0; i < count; i++) {
      this.#nowMs += defaultTiming.tickMs;
      for (const member of this.#running()) member.handle({ kind: "tick" });
      this.settle();
    }
  }

  /** Time passes while a member is at something. */
  pass(ms: number): void {
    this.#nowMs += ms;
  }

  #running(): Member[] {
    return [...this.members.values()].filter(({ id }) => !this.paused.has(id));
  }

  appliedOf(id: MemberId): LogIndex {
    return LogIndex(this.member(id).status().applied);
  }
}
