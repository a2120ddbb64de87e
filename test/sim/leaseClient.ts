// A client with one lease at a time: it is granted, a key is attached, it is kept alive through any
// member, and in the end revoked or left to itself.
import { CommandKind } from "../../src/apply/command.ts";
import type { Outcome } from "../../src/apply/outcome.ts";
import { emptyBytes } from "../../src/base/bytes.ts";
import { type EtcdError, errLeaseNotFound } from "../../src/base/errors.ts";
import type { MemberService } from "../../src/member/service.ts";
import { encodePutRequest } from "../../src/proto/encodeRequests.ts";
import { encodeLeaseIdRequest } from "../../src/proto/leaseCodec.ts";
import type { HeldLease, LeaseJudge } from "./checkers/leases.ts";
import { Leaseholder } from "./leaseholder.ts";
import type { SimMember, World } from "./simMember.ts";
import { Violation } from "./violation.ts";

const name = "leases";
const ttlSecMin = 2;
const ttlSecMax = 5;
/** Once in so many a client renews late, perhaps too late. */
const dozeOdds = 4;
/** A client that hears nothing for so long goes on. */
const patienceUs = 1_500_000;
const pauseUsMax = 1_000_000;
/** Above all that the servers pick, and far beyond what a number holds exactly. */
const firstLease = 1n << 61n;

/** What became of a request; undefined: nobody knows. */
type Then = (answer: "done" | undefined) => void;

export class LeaseClient {
  readonly #world: World;
  readonly #judge: LeaseJudge;
  readonly #self: Leaseholder;

  constructor(
    world: World,
    parts: { id: number; members: readonly SimMember[]; judge: LeaseJudge },
  ) {
    this.#world = world;
    const { id, members, judge } = parts;
    this.#judge = judge;
    this.#self = new Leaseholder(world, { id, members, firstLease, ttlSecMin, ttlSecMax });
  }

  begin(): void {
    this.#self.later(pauseUsMax, () => this.#grant());
  }

  /** Its lease is left to itself. */
  end(): void {
    this.#self.end();
  }

  #grant(): void {
    const { id, ttlSec, body } = this.#self.nextLease();
    const lease = this.#judge.open(id);
    const { sites, queue } = this.#world;
    const callUs = queue.nowUs;
    this.#propose(CommandKind.leaseGrant, body, {
      onOutcome: (outcome) => {
        if (outcome.kind !== "leaseGrant") throw new Violation(name, "a grant has no lease");
        sites.count("lease.grant");
        lease.onPromise(callUs, outcome.ttlSec);
      },
      onRefused: (error) => {
        throw new Violation(name, `a grant is refused: ${error.message}`);
      },
      next: (answer) => {
        if (answer === "done") this.#attach(lease, ttlSec);
        else this.#self.later(pauseUsMax, () => this.#grant());
      },
    });
  }

  #attach(lease: HeldLease, ttlSec: number): void {
    const body = encodePutRequest(this.#self.writer, {
      key: Buffer.from(lease.key, "latin1"),
      value: emptyBytes,
      lease: lease.id,
      prevKv: false,
      ignoreValue: false,
      ignoreLease: false,
    }).slice();
    this.#propose(CommandKind.put, body, {
      onOutcome: () => this.#world.sites.count("lease.attach"),
      onRefused: (error) => this.#onRefused(lease, error),
      next: () => this.#hold(lease, ttlSec),
    });
  }

  /** Keeps it for a while, mostly. */
  #hold(lease: HeldLease, ttlSec: number): void {
    const { random, sites } = this.#world;
    // Who dozes asks about when the lease ends.
    const share = random.oneIn(dozeOdds) ? 1.5 : 0.5;
    this.#self.later(ttlSec * 1_000_000 * share, () => {
      const kind = random.integer(10);
      const again = (): void => this.#hold(lease, ttlSec);
      if (kind < 7) this.#renew(lease, again);
      else if (kind === 7) this.#timeToLive(lease, again);
      else {
        if (kind === 8) this.#revoke(lease);
        else sites.count("lease.abandon");
        this.#self.later(pauseUsMax, () => this.#grant());
      }
    });
  }

  #renew(lease: HeldLease, then: () => void): void {
    const callUs = this.#world.queue.nowUs;
    this.#ask(then, (service, done) =>
      service.leases.renew(lease.id, {
        onRenewed: (_, { ttlSec }) => {
          this.#world.sites.count("lease.renew");
          if (ttlSec > 0) lease.onPromise(callUs, ttlSec);
          else lease.onGone();
          done("done");
        },
        onRefused: () => done(undefined),
      }),
    );
  }

  #timeToLive(lease: HeldLease, then: () => void): void {
    this.#ask(then, (service, done) =>
      service.leases.timeToLive(
        lease.id,
        { keys: true },
        {
          onAnswer: ({ ttlSec }) => {
            if (ttlSec < 0) lease.onGone();
            done("done");
          },
          onRefused: () => done(undefined),
        },
      ),
    );
  }

  #revoke(lease: HeldLease): void {
    lease.onRevoke();
    const body = encodeLeaseIdRequest(this.#self.writer, { id: lease.id }).slice();
    this.#propose(CommandKind.leaseRevoke, body, {
      onOutcome: () => this.#world.sites.count("lease.revoke"),
      onRefused: (error) => this.#onRefused(lease, error),
      next: () => {},
    });
  }

  #onRefused(lease: HeldLease, error: EtcdError): void {
    if (error !== errLeaseNotFound)
      throw new Violation(name, `lease ${lease.id} is refused: ${error.message}`);
    lease.onGone();
  }

  #propose(
    kind: CommandKind,
    body: Uint8Array,
    on: {
      /** Applied, and not refused. */
      readonly onOutcome: (outcome: Outcome) => void;
      readonly onRefused: (error: EtcdError) => void;
      readonly next: Then;
    },
  ): void {
    this.#ask(on.next, (service, done) =>
      service.propose(kind, body, {
        onOutcome: (outcome) => {
          if (outcome.kind === "refused") on.onRefused(outcome.error);
          else on.onOutcome(outcome);
          done("done");
        },
        onRefused: () => done(undefined),
      }),
    );
  }

  /** At any member; `then` is called once, also when no answer comes. */
  #ask(then: Then, act: (service: MemberService, done: Then) => void): void {
    let isOver = false;
    const done: Then = (answer) => {
      if (isOver) return;
      isOver = true;
      if (this.#self.isRunning) then(answer);
    };
    this.#world.queue.after(patienceUs, () => done(undefined));
    this.#self.visitAny((service) => act(service, done));
  }
}
