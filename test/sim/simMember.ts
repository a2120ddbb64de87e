// One member over all of its lives: boots, runs its turns, sleeps, dies in the middle of anything.
import type { Applier } from "../../src/apply/applier.ts";
import { Mistake } from "../../src/base/assert.ts";
import type { MemberId } from "../../src/base/brand.ts";
import { silentLog } from "../../src/base/ports.ts";
import type { Prng } from "../../src/base/prng.ts";
import { bootMember } from "../../src/member/boot.ts";
import { defaultTiming, type MemberEvent } from "../../src/member/events.ts";
import type { Member } from "../../src/member/member.ts";
import type { MemberConfig } from "../../src/member/memberParts.ts";
import type { MemberInfo, MemberService } from "../../src/member/service.ts";
import type { RaftLog } from "../../src/storage/log.ts";
import type { SimDisk } from "./disk.ts";
import type { Doubles } from "./doubles.ts";
import type { EventOwner, EventQueue } from "./eventQueue.ts";
import type { Judges } from "./judges.ts";
import type { Network } from "./network.ts";
import type { Odds } from "./odds.ts";
import { SimClock } from "./simClock.ts";
import { homeWith } from "./simHome.ts";
import { CrashSignal, type Sites } from "./sites.ts";
import type { Trace } from "./trace.ts";
import { Violation } from "./violation.ts";

/** Often enough for a run of seconds. */
const watchProgressMs = 700;

/** What all members of a run share. */
export interface World {
  readonly queue: EventQueue;
  readonly random: Prng;
  readonly trace: Trace;
  readonly sites: Sites;
  readonly odds: Odds;
  readonly doubles: Doubles;
}

export interface SimMemberParts {
  readonly id: MemberId;
  readonly disk: SimDisk;
  readonly network: Network;
  readonly judges: Judges;
  /** What it is told of the members at each start; nothing where they never change. */
  readonly given: () => readonly MemberInfo[];
  /** Whoever waits for an answer of this life will not get one. */
  readonly onCrash: (id: MemberId) => void;
  /** Its log names this one as a member, applied or not. */
  readonly onNamed: (id: MemberId) => void;
}

interface Life {
  readonly member: Member;
  readonly service: MemberService;
  applier: Applier;
  readonly log: RaftLog;
  /** One function for all of its turns. */
  readonly turn: () => void;
  turnDue: boolean;
}

export class SimMember implements EventOwner {
  readonly id: MemberId;
  readonly disk: SimDisk;
  readonly clock: SimClock;
  readonly #world: World;
  readonly #parts: SimMemberParts;
  #life: Life | undefined;
  /** Counts births and deaths: what was to happen in an earlier life does not. */
  #lifeNumber = 0;
  #incarnation = 0;
  #pausedUntilUs = 0;
  #ticks = 0;
  #isOut = false;
  readonly #tick = (): void => {
    this.#tickLater();
    this.#ticks++;
    this.handle({ kind: "tick" });
  };

  constructor(world: World, parts: SimMemberParts) {
    this.id = parts.id;
    this.disk = parts.disk;
    this.clock = new SimClock(world.queue);
    this.#world = world;
    this.#parts = parts;
  }

  get isUp(): boolean {
    return this.#life !== undefined;
  }

  /** Ticks that it was given, in all of its lives. */
  get ticks(): number {
    return this.#ticks;
  }

  /** Of the present life. */
  get member(): Member | undefined {
    return this.#life?.member;
  }

  get applier(): Applier | undefined {
    return this.#life?.applier;
  }

  start(): void {
    if (this.#life !== undefined || this.#isOut) return;
    const { judges, network, disk } = this.#parts;
    const { trace, doubles, random } = this.#world;
    this.#incarnation++;
    this.#lifeNumber++;
    const { log, home } = disk.open();
    const raftLog = doubles.log?.(log, (us, run) => this.later(us, run)) ?? log;
    const link = network.linkOf(this.id);
    let applier: Applier | undefined;
    const member = bootMember(this.#config(), {
      clock: this.clock,
      random,
      log: silentLog,
      link: doubles.link?.(link, this.id) ?? link,
      raftLog,
      home: doubles.engine === undefined ? home : homeWith(home, doubles.engine),
      requestTurn: () => this.#requestTurn(),
      onState: (state) => {
        applier = state;
        if (this.#life !== undefined) this.#onState(this.#life, state);
      },
      fail: (error) => this.#onFail(error),
      onRemoved: () => this.#onRemoved(),
      onLinks: (members) => {
        for (const { id } of members) this.#parts.onNamed(id);
      },
    });
    if (applier === undefined) throw new Mistake("a member has a state");
    const service = doubles.service?.(member) ?? member;
    const turn = (): void => this.#turn(life);
    const life: Life = { member, service, applier, log, turn, turnDue: false };
    this.#life = life;
    if (trace.on) trace.line(`m${this.id} starts, life ${this.#incarnation} at ${applier.applied}`);
    judges.onStart(this.id, applier);
    this.#tickLater();
  }

  /** Assigned, not spread: so that all members have one shape, and the code that reads them one path. */
  #config(): MemberConfig {
    const { odds } = this.#world;
    const config = {
      clusterId: 9n,
      id: this.id,
      incarnation: this.#incarnation,
      timing: defaultTiming,
      members: this.#parts.given(),
      recentBytesMax: odds.recentBytesMax,
      watchProgressMs,
      leaseCheckpointSec: odds.leaseCheckpointSec,
    };
    return Object.assign(config, raftOf(this.#world), duties(this.id, odds), compactionOf(odds));
  }

  /** The member is gone at once. */
  crash(why: string): void {
    if (this.#life === undefined) return;
    const { trace, sites } = this.#world;
    this.#life = undefined;
    this.#lifeNumber++;
    this.#pausedUntilUs = 0;
    sites.disarm(this.id);
    const survived = this.#whatSurvives();
    if (trace.on) trace.line(`m${this.id} dies (${why}), ${survived}`);
    this.#parts.onCrash(this.id);
  }

  /** It is a member no more, and nobody starts it again. */
  retire(): void {
    this.crash("removed");
    this.#isOut = true;
  }

  /** Nothing happens to the member until then; what was to happen comes late, ticks only once. */
  pause(us: number): void {
    this.#pausedUntilUs = this.#world.queue.nowUs + us;
  }

  wake(): void {
    this.#pausedUntilUs = 0;
  }

  handle(event: MemberEvent): void {
    try {
      this.#life?.member.handle(event);
    } catch (error) {
      this.#onThrown(error);
    }
  }

  receive(from: MemberId, bytes: Uint8Array): void {
    if (this.#life === undefined) return;
    const event = { kind: "frame", from, bytes } as const;
    const sleepUs = this.#pausedUntilUs - this.#world.queue.nowUs;
    if (sleepUs > 0) this.later(sleepUs, () => this.handle(event));
    else this.handle(event);
  }

  /** Something outside of the member happens to its service, in its thread. */
  visit(act: (service: MemberService) => void): void {
    this.run((_, service) => act(service));
  }

  /** After a time, in this life, when the member is awake. */
  later(delayUs: number, run: () => void): void {
    this.#world.queue.afterOf(this, this.#lifeNumber, { delayUs, run });
  }

  onDue(life: number, run: () => void): void {
    if (life !== this.#lifeNumber) return;
    const sleepUs = this.#pausedUntilUs - this.#world.queue.nowUs;
    if (sleepUs > 0) this.later(sleepUs, run);
    else this.run(run);
  }

  /** Runs code of the member: it may die of it, but it may not make a mistake. */
  run(act: (member: Member, service: MemberService) => void): void {
    const life = this.#life;
    if (life === undefined) return;
    try {
      act(life.member, life.service);
    } catch (error) {
      this.#onThrown(error);
    }
  }

  #onThrown(error: unknown): void {
    if (error instanceof CrashSignal) this.#die(error.message);
    else if (error instanceof Violation) throw error;
    else throw new Violation("member", `m${this.id} throws ${String(error)}`, { cause: error });
  }

  /** Whatever a crash leaves on a disk that keeps its word, the log must be able to go on from. */
  #whatSurvives(): string {
    try {
      return this.disk.crash();
    } catch (error) {
      throw new Violation("member", `m${this.id} cannot open its log: ${String(error)}`, {
        cause: error,
      });
    }
  }

  #die(why: string): void {
    this.crash(why);
    const { random, odds } = this.#world;
    this.restartLater(1 + random.integer(odds.faults.downUsMax));
  }

  restartLater(us: number): void {
    const life = this.#lifeNumber;
    this.#world.queue.after(us, () => {
      if (life === this.#lifeNumber) this.start();
    });
  }

  // The log is told to fail within its own completion: the member dies of it right there.
  #onFail(error: Error): void {
    if (!/EIO|no space/.test(error.message)) {
      throw new Violation("member", `m${this.id} fails: ${error.message}`, { cause: error });
    }
    throw new CrashSignal(error.message);
  }

  /** Behind the turn that told it: by then the judges have heard of it too. */
  #onRemoved(): void {
    this.later(0, () => {
      this.#world.sites.count("member.out");
      this.#parts.judges.onOut(this.id);
      this.retire();
    });
  }

  #requestTurn(): void {
    const life = this.#life;
    if (life === undefined || life.turnDue) return;
    life.turnDue = true;
    const { random, odds } = this.#world;
    this.later(random.integer(odds.turnUsMax), life.turn);
  }

  #turn(life: Life): void {
    life.turnDue = false;
    life.member.turn();
    if (this.disk.hasFailed) return;
    this.#parts.judges.afterTurn(life.member.status(), life.log, life.applier);
  }

  /** A snapshot was taken over. */
  #onState(life: Life, applier: Applier): void {
    const { sites, trace } = this.#world;
    life.applier = applier;
    sites.count("image.taken");
    if (trace.on) trace.line(`m${this.id} goes on from a snapshot at ${applier.applied}`);
    this.#parts.judges.onState(this.id, applier);
  }

  #tickLater(): void {
    this.later(this.clock.trueUs(defaultTiming.tickMs * 1000), this.#tick);
  }
}

function raftOf({ queue, odds }: World): Partial<MemberConfig> {
  return {
    preVote: queue.nowUs >= odds.preVoteFromUs,
    readMode: odds.leaseReads > 0 ? "lease" : "readIndex",
    window: { maxAppendBytes: odds.appendBytesMax },
  };
}

/** Small margins: then snapshots happen all the time. */
function compactionOf({ compactEntries }: Odds): Pick<Partial<MemberConfig>, "compaction"> {
  if (compactEntries === 0) return {};
  const catchUpEntries = Math.floor(compactEntries / 2);
  return { compaction: { snapshotEntries: compactEntries, catchUpEntries } };
}

/** Where members change, each tells its name: one that has none counts as not started. */
function duties(
  id: MemberId,
  { operator }: Odds,
): Pick<Partial<MemberConfig>, "told" | "changePolicy"> {
  if (operator.gapUs === 0) return {};
  return {
    told: { birth: Number(id), name: `m${id}`, clientUrls: [] },
    changePolicy: {
      strict: operator.strict > 0,
      learnersMax: 2,
      promoteLearners: operator.promote > 0,
    },
  };
}
