// What clients with leases have in common: pauses, ids of their own, and any member to ask.
import { LeaseId } from "../../src/base/brand.ts";
import type { MemberService } from "../../src/member/service.ts";
import { encodeLeaseGrantRequest } from "../../src/proto/leaseCodec.ts";
import { Writer } from "../../src/proto/writer.ts";
import type { SimMember, World } from "./simMember.ts";

/** Each client has as many, from the first of its kind on. */
const idsPerClient = 1_000_000n;

export interface LeaseholderParts {
  readonly id: number;
  readonly members: readonly SimMember[];
  /** Of all clients of its kind. */
  readonly firstLease: bigint;
  readonly ttlSecMin: number;
  readonly ttlSecMax: number;
}

/** Asked for, and perhaps granted. */
export interface WantedLease {
  readonly id: LeaseId;
  readonly ttlSec: number;
  readonly body: Uint8Array;
}

export class Leaseholder {
  readonly writer = new Writer();
  readonly #world: World;
  readonly #parts: LeaseholderParts;
  #nextId: bigint;
  #running = true;

  constructor(world: World, parts: LeaseholderParts) {
    this.#world = world;
    this.#parts = parts;
    this.#nextId = parts.firstLease + BigInt(parts.id) * idsPerClient;
  }

  get isRunning(): boolean {
    return this.#running;
  }

  /** Its leases are left to themselves. */
  end(): void {
    this.#running = false;
  }

  /** Unless it has ended by then. */
  later(usMax: number, act: () => void): void {
    const { queue, random } = this.#world;
    queue.after(1 + random.integer(usMax), () => {
      if (this.#running) act();
    });
  }

  nextLease(): WantedLease {
    const { ttlSecMin, ttlSecMax } = this.#parts;
    const id = LeaseId(this.#nextId++);
    const ttlSec = ttlSecMin + this.#world.random.integer(ttlSecMax - ttlSecMin + 1);
    return { id, ttlSec, body: encodeLeaseGrantRequest(this.writer, { id, ttlSec }).slice() };
  }

  anyMember(): SimMember {
    const { members } = this.#parts;
    const member = members[this.#world.random.integer(members.length)];
    if (member === undefined) throw new RangeError("a cluster has members");
    return member;
  }

  visitAny(act: (service: MemberService) => void): void {
    const member = this.anyMember();
    member.later(0, () => member.visit(act));
  }
}
