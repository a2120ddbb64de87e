// Where a member's log lives from life to life: plain memory, or the real segment files on a disk that
// tears what was not synced.

import type { MemberId } from "../../src/base/brand.ts";
import { silentLog } from "../../src/base/ports.ts";
import type { Prng } from "../../src/base/prng.ts";
import type { Membership } from "../../src/raft/types.ts";
import type { RaftLog } from "../../src/storage/log.ts";
import { MemoryLog } from "../../src/storage/memoryLog.ts";
import { type DiskRaftLog, openRaftLog } from "../../src/storage/raftLog.ts";
import { FaultyDisk } from "../storage/faultyDisk.ts";
import { type DamageKind, ProvenBytes } from "./damage.ts";

export interface LogStoreParts {
  readonly id: MemberId;
  readonly membership: Membership;
  readonly random: Prng;
  /** Runs the completion of a sync when its time has come, in this life of the member. */
  readonly whenSynced: (complete: () => void) => void;
  /** Runs in a later turn of this life. */
  readonly defer: (run: () => void) => void;
}

export interface LogStore {
  /** The log as the present life finds it. */
  readonly log: RaftLog;
  /** To be called whenever the log was written to. */
  afterSave(): void;
  /** The member is gone. @returns what survived of the writes that were not finished. */
  crash(): string;
  /** The disk harms what it held, while the member is down. @returns what; undefined: nothing. */
  damage(kind: DamageKind): string | undefined;
  /** A write failed, and the member has not died of it yet: what it saved since cannot be read. */
  readonly hasFailed: boolean;
  /** No room for another segment, until the member died of it or there is room again. */
  fill(): void;
  makeRoom(): void;
}

export class MemoryStore implements LogStore {
  readonly #random: Prng;
  #log: MemoryLog;

  constructor({ membership, random, whenSynced }: LogStoreParts) {
    this.#random = random;
    this.#log = new MemoryLog({ membership, delay: whenSynced });
  }

  get log(): RaftLog {
    return this.#log;
  }

  afterSave(): void {}

  crash(): string {
    const count = this.#log.pendingCount;
    const kept = this.#random.integer(count + 1);
    this.#log = this.#log.afterCrash(kept);
    return `${kept} of ${count} unfinished writes survive`;
  }

  readonly hasFailed = false;

  damage(): undefined {}

  fill(): void {}

  makeRoom(): void {}
}

/** Small, so that a run fills several. */
const segmentBytesMax = 64 * 1024;
const recentBytesMax = 16 * 1024;
const clusterId = 9n;

export class SegmentStore implements LogStore {
  readonly #parts: LogStoreParts;
  readonly #sync: "inline" | "pooled";
  #disk = new FaultyDisk();
  #log: DiskRaftLog;
  /** Syncs of the disk that have a time. */
  #timed = 0;

  constructor(parts: LogStoreParts, sync: "inline" | "pooled") {
    this.#parts = parts;
    this.#sync = sync;
    this.#log = this.#open({ mayCreate: true });
  }

  get log(): RaftLog {
    return this.#log;
  }

  afterSave(): void {
    while (this.#timed < this.#disk.syncs.length) {
      this.#timed++;
      this.#parts.whenSynced(() => {
        this.#timed--;
        this.#disk.completeSync();
        this.afterSave();
      });
    }
  }

  /** Each sector of what was not synced has landed or not, mostly alike. */
  crash(): string {
    const { random } = this.#parts;
    const landedOdds = [0, 1, 2, 8][random.integer(4)] ?? 0;
    let sectors = 0;
    this.#disk = this.#disk.crash(() => {
      sectors++;
      return random.oneIn(landedOdds);
    });
    this.#reopen();
    return `${sectors} sectors land once in ${landedOdds}, the log ends at ${this.#log.lastIndex()}`;
  }

  damage(kind: DamageKind): string | undefined {
    const { random } = this.#parts;
    // The crash has just opened the log anew: what lies before what that wrote was whole.
    const proven = new ProvenBytes(this.#disk);
    this.#log.close();
    const disk = this.#disk.clone();
    const harm = proven.harm(disk, kind, random);
    this.#disk = disk;
    this.#reopen();
    return harm;
  }

  get hasFailed(): boolean {
    return this.#log.fault() !== undefined;
  }

  fill(): void {
    const { faults } = this.#disk;
    faults.create = faults.prepare = "ENOSPC";
  }

  makeRoom(): void {
    const { faults } = this.#disk;
    faults.create = faults.prepare = undefined;
  }

  #reopen(): void {
    this.#timed = 0;
    this.#log = this.#open({ mayCreate: false });
  }

  #open({ mayCreate }: { mayCreate: boolean }): DiskRaftLog {
    const { id, membership, random, defer } = this.#parts;
    return openRaftLog({
      ...{ disk: this.#disk, clock: { nowMs: () => 0 }, log: silentLog, membership, mayCreate },
      owner: { clusterId, memberId: id },
      salt: () => (BigInt(random.bits32()) << 32n) | BigInt(random.bits32()),
      mayRefill: true,
      ...{ defer, segmentBytesMax, recentBytesMax, sync: this.#sync },
    });
  }
}
