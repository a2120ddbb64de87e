// A lease lives as long as was promised, counted from the request, and not for ever: what is attached to
// it goes with it, once, and nobody brings it back.
import type { LeaseId } from "../../../src/base/brand.ts";
import { check } from "../violation.ts";
import type { AppliedChange } from "./history.ts";

const name = "leases";

/** Keys of leases are in [leaseKeysFrom, leaseKeysTo); no other operation touches these. */
export const leaseKeysFrom = "n";
const leaseKeysTo = "o";

export class LeaseJudge {
  readonly #nowUs: () => number;
  /** A member's clock may be this much faster than time, in parts of 1000. */
  readonly #driftMax: number;
  readonly #byKey = new Map<string, HeldLease>();

  constructor(nowUs: () => number, driftMax: number) {
    this.#nowUs = nowUs;
    this.#driftMax = driftMax;
  }

  /** Keys whose lease is over for its client, and that are still there. */
  get livingKeys(): readonly string[] {
    return [...this.#byKey.values()].filter((lease) => lease.keyLives).map(({ key }) => key);
  }

  open(id: LeaseId): HeldLease {
    const key = `${leaseKeysFrom}${id}`;
    const lease = new HeldLease({ id, key, nowUs: this.#nowUs, driftMax: this.#driftMax });
    this.#byKey.set(key, lease);
    return lease;
  }

  /** Whether a revision is that of leases alone. */
  owns(changes: readonly AppliedChange[]): boolean {
    return changes.every(({ key }) => key >= leaseKeysFrom && key < leaseKeysTo);
  }

  onRevision(revision: number, changes: readonly AppliedChange[]): void {
    for (const { key, pair } of changes) {
      const lease = this.#byKey.get(key);
      check(lease !== undefined, name, () => `${revision} changes ${key}, which nobody asked for`);
      if (pair === undefined) lease.onKeyDeleted(revision);
      else lease.onKeyPut(pair.version);
    }
  }
}

/** One lease as its client knows it. */
export class HeldLease {
  readonly id: LeaseId;
  readonly key: string;
  readonly #nowUs: () => number;
  readonly #driftMax: number;
  #promisedUs = 0;
  #goneUs: number | undefined;
  #revokeAsked = false;
  #keyLives = false;

  constructor(parts: { id: LeaseId; key: string; nowUs: () => number; driftMax: number }) {
    this.id = parts.id;
    this.key = parts.key;
    this.#nowUs = parts.nowUs;
    this.#driftMax = parts.driftMax;
  }

  get keyLives(): boolean {
    return this.#keyLives;
  }

  onRevoke(): void {
    this.#revokeAsked = true;
  }

  /** Asked at `callUs`, the answer was that it has `ttlSec` to live. */
  onPromise(callUs: number, ttlSec: number): void {
    check(
      this.#goneUs === undefined || callUs <= this.#goneUs,
      name,
      () => `lease ${this.id} was gone at ${this.#goneUs} us and lives again, asked at ${callUs}`,
    );
    const us = (ttlSec * 1_000_000) / (1 + this.#driftMax / 1000);
    this.#promisedUs = Math.max(this.#promisedUs, callUs + us);
    this.#check();
  }

  /** Somebody who must know says that there is no such lease. */
  onGone(): void {
    this.#goneUs ??= this.#nowUs();
    this.#check();
  }

  onKeyPut(version: number): void {
    check(version === 1, name, () => `${this.key} is put again, as version ${version}`);
    check(this.#goneUs === undefined, name, () => `${this.key} is put behind the end of its lease`);
    this.#keyLives = true;
  }

  onKeyDeleted(revision: number): void {
    check(this.#keyLives, name, () => `${this.key} is deleted at ${revision} and was not there`);
    this.#keyLives = false;
    this.onGone();
  }

  #check(): void {
    const goneUs = this.#goneUs;
    if (goneUs === undefined || this.#revokeAsked) return;
    check(
      goneUs >= this.#promisedUs,
      name,
      () => `lease ${this.id} ends at ${goneUs} us, promised until ${this.#promisedUs} us`,
    );
  }
}
