// A client that wants one lock, again and again: with a lease of its own, which it keeps alive or lets end
// while it waits, through the line that serves callers of the Lock service.

import { Line } from "../../src/api/line.ts";
import { LineCommands } from "../../src/api/lineCommands.ts";
import { CommandKind } from "../../src/apply/command.ts";
import type { LeaseId, MemberId } from "../../src/base/brand.ts";
import { errMutexExpired } from "../../src/base/errors.ts";
import type { MemberService } from "../../src/member/service.ts";
import { type LockJudge, lockLine } from "./checkers/locks.ts";
import { serviceWith } from "./doubles.ts";
import { Leaseholder } from "./leaseholder.ts";
import type { SimMember, World } from "./simMember.ts";

const ttlSecMin = 2;
const ttlSecMax = 4;
const patienceUsMax = 6_000_000;
const holdUsMax = 1_500_000;
const pauseUsMax = 500_000;
/** Once in so many a client does not keep its lease alive. */
const sleepOdds = 2;
/** Between those of other clients and those that the servers pick. */
const firstLease = 3n << 60n;

export interface LockClientParts {
  readonly id: number;
  readonly members: readonly SimMember[];
  readonly judge: LockJudge;
  /** Highest revision that any member has applied. */
  readonly latest: () => number;
}

/** A call that waits at a member. */
interface Waiting {
  readonly at: MemberId;
  cancel: () => void;
  /** How often it looked at the line. */
  looks: number;
  /** The latest revision when the cluster was last asked about it; undefined: it was not. */
  askedAt: number | undefined;
}

export class LockClient {
  readonly #world: World;
  readonly #parts: LockClientParts;
  readonly #self: Leaseholder;
  #waiting: Waiting | undefined;

  constructor(world: World, parts: LockClientParts) {
    this.#world = world;
    this.#parts = parts;
    const { id, members } = parts;
    this.#self = new Leaseholder(world, { id, members, firstLease, ttlSecMin, ttlSecMax });
  }

  begin(): void {
    this.#again();
  }

  /** Its leases are left to themselves. */
  end(): void {
    this.#self.end();
    this.#giveUp();
  }

  /** Nobody will hear of it any more. */
  onCrash(id: MemberId): void {
    if (this.#waiting?.at !== id) return;
    this.#waiting = undefined;
    this.#again();
  }

  #again(): void {
    this.#self.later(pauseUsMax, () => this.#grant());
  }

  /** A grant whose answer is lost is a lease that ends by itself. */
  #grant(): void {
    const { id, ttlSec, body } = this.#self.nextLease();
    let isOver = false;
    const end = (then: () => void): void => {
      if (!isOver && this.#self.isRunning) then();
      isOver = true;
    };
    this.#self.later(patienceUsMax, () => end(() => this.#again()));
    this.#self.visitAny((service) =>
      service.propose(CommandKind.leaseGrant, body, {
        onOutcome: () => end(() => this.#wait(id, ttlSec)),
        onRefused: () => end(() => this.#again()),
      }),
    );
  }

  #wait(lease: LeaseId, ttlSec: number): void {
    const { random } = this.#world;
    const member = this.#self.anyMember();
    const waiting: Waiting = { at: member.id, cancel: () => {}, looks: 0, askedAt: undefined };
    this.#waiting = waiting;
    if (!random.oneIn(sleepOdds)) this.#keepAlive(waiting, lease, ttlSec);
    this.#self.later(patienceUsMax, () => {
      if (this.#waiting !== waiting) return;
      this.#giveUp();
      this.#again();
    });
    if (!member.isUp) return;
    member.later(0, () =>
      member.visit((service) => this.#enter(service, member, { waiting, lease })),
    );
  }

  /** Each call has a line of its own: what its member is asked, it is asked for this call. */
  #enter(
    service: MemberService,
    member: SimMember,
    { waiting, lease }: { waiting: Waiting; lease: LeaseId },
  ): void {
    const { judge, latest } = this.#parts;
    const { sites } = this.#world;
    if (this.#waiting !== waiting) return;
    const asking = serviceWith(service, {
      readIndex: (completion) => {
        waiting.askedAt = latest();
        service.readIndex(completion);
      },
    });
    const soon = (run: () => void): void =>
      member.later(0, () => {
        waiting.looks++;
        run();
      });
    const line = new Line(asking, new LineCommands(asking, this.#self.writer), { soon });
    const onCancel = (cancel: () => void): void => {
      waiting.cancel = () => member.later(0, cancel);
    };
    const name = Buffer.from(lockLine);
    const spec = { name, lease, value: undefined, errExpired: errMutexExpired };
    line.enter({ onCancel }, spec, {
      onTurn: ({ key, createRevision }, revision) => {
        sites.count(waiting.looks > 1 ? "lock.waited" : "lock.atOnce");
        // Whoever waited must have asked, or know as much as if it had asked just now.
        const floor = waiting.looks > 1 ? (waiting.askedAt ?? latest()) : createRevision;
        const text = Buffer.from(key).toString("latin1");
        judge.onTurn({ key: text, createRevision, revision, floor });
        if (this.#waiting === waiting) this.#hold(line, waiting, key);
      },
      onRefused: (error) => {
        sites.count(error === errMutexExpired ? "lock.expired" : "lock.refused");
        if (this.#waiting !== waiting) return;
        this.#waiting = undefined;
        this.#again();
      },
    });
  }

  #hold(line: Line, waiting: Waiting, key: Uint8Array): void {
    waiting.cancel = () => {};
    const kept = key.slice();
    const member = this.#parts.members.find(({ id }) => id === waiting.at);
    const lets = this.#world.random.oneIn(sleepOdds);
    this.#self.later(holdUsMax, () => {
      if (this.#waiting !== waiting) return;
      this.#waiting = undefined;
      // Otherwise its lease lets the lock go.
      if (!lets) {
        const nobody = { onDone: () => {}, onRefused: () => {} };
        member?.later(0, () => line.commands.remove(kept, nobody));
      }
      this.#again();
    });
  }

  #keepAlive(waiting: Waiting, lease: LeaseId, ttlSec: number): void {
    this.#self.later((ttlSec * 1_000_000) / 2, () => {
      if (this.#waiting !== waiting) return;
      const nobody = { onRenewed: () => {}, onRefused: () => {} };
      this.#self.visitAny((service) => service.leases.renew(lease, nobody));
      this.#keepAlive(waiting, lease, ttlSec);
    });
  }

  #giveUp(): void {
    this.#waiting?.cancel();
    this.#waiting = undefined;
  }
}
