// One Raft member: raft, log, state machine and waiting callers behind one `handle(event)`. Everything
// runs to completion; the owner calls `turn()` once after the events of an event-loop turn.
import type { Alarm } from "../apply/alarms.ts";
import type { Applier } from "../apply/applier.ts";
import type { CommandKind } from "../apply/command.ts";
import { type MemberId, noMember, type Term } from "../base/brand.ts";
import { errNoLeader, errStopped, errTooManyRequests } from "../base/errors.ts";
import { SeldomLog } from "../base/seldomLog.ts";
import type { RaftNode } from "../raft/node.ts";
import type { Ready } from "../raft/ready.ts";
import { type Entry, EntryKind } from "../raft/types.ts";
import type { EngineBatch } from "../storage/engine.ts";
import type { WatchHub } from "../watch/hub.ts";
import type { ChangeRequest } from "./changeRequest.ts";
import { ClusterDuties } from "./clusterDuties.ts";
import { Defragment } from "./defragment.ts";
import { type MemberEvent, requestTicksMax } from "./events.ts";
import { Images } from "./images.ts";
import { Inbox } from "./inbox.ts";
import { Jobs } from "./jobs.ts";
import { LeaderLoss } from "./leaderLoss.ts";
import { Leases } from "./leases.ts";
import { LeaseView } from "./leaseView.ts";
import { defaultCompactionBounds, LogCompaction } from "./logCompaction.ts";
import type { MemberConfig, MemberCore, MemberPorts } from "./memberParts.ts";
import { Outbox } from "./outbox.ts";
import { answerAll, Pending } from "./pending.ts";
import { Pump } from "./pump.ts";
import { Reads } from "./reads.ts";
import { refusing } from "./refusing.ts";
import type { RequestTimes } from "./requestTimes.ts";
import type { Roster } from "./roster.ts";
import { Rounds } from "./rounds.ts";
import type {
  ChangeCompletion,
  DefragmentCompletion,
  HashCompletion,
  MemberInfo,
  MemberService,
  MemberStatus,
  ProposalCompletion,
  ReadCompletion,
  StateReader,
  TransferCompletion,
} from "./service.ts";
import { Snapshots } from "./snapshots.ts";
import { statusOf } from "./status.ts";
import { StoreWriter } from "./storeWriter.ts";
import { type MemberNumbers, type MemberTally, numbersOf, readRetryMs } from "./tally.ts";
import type { Watches } from "./watches.ts";

/** Applied but unwritten changes above this stop new proposals until the store caught up. */
export const unflushedBytesMax = 128 << 20;

/** Linearizable reads of one turn begin within this; the rest waits for the next turn. */
export const readBudgetMs = 10;

export class Member implements MemberService {
  readonly #config: MemberConfig;
  readonly #ports: MemberPorts;
  readonly #raft: RaftNode;
  readonly #openApplier: () => Applier;
  #applier: Applier;
  readonly #pending: Pending;
  readonly #reads: Reads;
  readonly #outbox: Outbox;
  readonly #inbox: Inbox;
  readonly #pump: Pump;
  readonly #images: Images;
  readonly #defragment: Defragment;
  readonly snapshots: Snapshots;
  readonly #compaction: LogCompaction;
  #storeWriter: StoreWriter;
  readonly #jobs: Jobs;
  readonly #hub: WatchHub;
  readonly #leaderLoss: LeaderLoss;
  readonly #cluster: ClusterDuties;
  readonly #leases: Leases;
  readonly #propose = (datas: readonly Uint8Array[]): void => void this.#raft.propose(datas);
  readonly #askReadIndex = (requestId: number): void => this.#raft.readIndex(requestId);
  readonly #tally: MemberTally;
  readonly times: RequestTimes;
  readonly #oddities: SeldomLog;
  #leader: MemberId = noMember;
  #leaderTerm = -1;
  readonly #rounds: Rounds;
  #stopped = false;

  constructor(config: MemberConfig, ports: MemberPorts, core: MemberCore) {
    this.#config = config;
    this.#ports = ports;
    this.#oddities = new SeldomLog(ports.log, ports.clock);
    this.#raft = core.raft;
    this.#applier = core.applier;
    this.#tally = core.tally;
    this.times = core.times;
    this.#openApplier = core.openApplier;
    const waitTicksMax = requestTicksMax(config.timing);
    this.#pending = new Pending({
      self: config.id,
      incarnation: config.incarnation,
      waitTicksMax,
      resendTicksMin: 2 * config.timing.electionTicks,
      onBatch: (commands) => this.#tally.batchCommands.observe(commands),
      onOutcome: (commands, ticks) =>
        this.#tally.onOutcome(commands, ticks * config.timing.tickMs, this.#oddities),
    });
    const { clock, requestTurnIn: wakeIn } = ports;
    const [raft, pending, propose] = [core.raft, this.#pending, this.#propose];
    this.#rounds = new Rounds({ raft, pending, propose, clock, wakeIn });
    this.#reads = new Reads({
      incarnation: config.incarnation,
      waitTicksMax,
      retryTicks: Math.ceil(readRetryMs / config.timing.tickMs),
    });
    this.#images = new Images(config, ports, {
      raft,
      oddities: this.#oddities,
      tally: this.#tally.images,
      onBadFrame: (from) => this.#tally.onBadFrame(from),
      makeRoom: () => this.#defragment.giveWay(),
    });
    this.#defragment = this.#newDefragment();
    this.snapshots = new Snapshots(ports, core, () => this.#applier);
    this.#compaction = new LogCompaction({
      ...{ raft, log: ports.raftLog, applied: core.applier.applied },
      bounds: { ...defaultCompactionBounds, ...config.compaction },
      heardTicksMax: config.timing.electionTicks,
    });
    this.#outbox = new Outbox(ports.link, (peer) => this.#images.want(peer));
    this.#pump = new Pump({
      ...{ raft, log: ports.raftLog, outbox: this.#outbox },
      hooks: {
        apply: (entries) => this.#apply(entries),
        onReads: (ready) => this.#onReads(ready),
        onSnapshotSaved: () => this.#images.commit((error) => this.#onStoreReplaced(error)),
        wake: ports.requestTurn,
        fail: ports.fail,
      },
    });
    this.#storeWriter = this.#newStoreWriter();
    this.#jobs = new Jobs(core.applier, { clock: ports.clock, tally: this.#tally });
    this.#hub = core.hub;
    this.#leaderLoss = new LeaderLoss(config.timing);
    this.#cluster = new ClusterDuties(config, {
      ...{ raft, applier: core.applier, waitTicksMax },
      ...{ births: ports.births, tally: this.#tally },
      send: (to, frame) => ports.link.send(to, frame),
      propose: (kind, body, completion) => this.propose(kind, body, completion),
    });
    this.#leases = new Leases(config, ports, {
      view: new LeaseView(core.raft, () => this.#applier),
      propose: (kind, body, completion) => this.propose(kind, body, completion),
      confirm: (completion) => this.readIndex(completion),
    });
    this.#inbox = this.#newInbox();
  }

  get clusterId(): bigint {
    return this.#config.clusterId;
  }

  get id(): MemberId {
    return this.#config.id;
  }

  get term(): Term {
    return this.#raft.term;
  }

  get isLearner(): boolean {
    return this.#cluster.roster.isLearner;
  }

  /** Refuses while the state may be older than what this member acknowledged. */
  get state(): StateReader {
    return this.#raft.isRefilling ? refusing(this.#applier) : this.#applier;
  }

  get watches(): Watches {
    return this.#hub;
  }

  /** Who is a member, and how those that introduce themselves are to be received. */
  get roster(): Roster {
    return this.#cluster.roster;
  }

  get leases(): Leases {
    return this.#leases;
  }

  /** Frames that could not be decoded and were dropped. */
  get badFrames(): number {
    let count = 0;
    for (const some of this.#tally.badFrames.values()) count += some;
    return count;
  }

  handle(event: MemberEvent): void {
    if (this.#stopped) return;
    switch (event.kind) {
      case "tick":
        this.#onTick();
        break;
      case "frame":
        this.#inbox.onFrame(event.from, event.bytes);
        break;
      case "campaign":
        this.#raft.campaign();
        break;
      case "stop":
        this.#onStop();
        break;
    }
    this.#ports.requestTurn();
  }

  /** Everything that the events of this turn asked for: one batch, one quorum round, one frame a peer. */
  turn(): void {
    if (this.#stopped) return;
    // A thread that stood still has counted too few ticks to know that its lease is over.
    if (this.#config.readMode === "lease")
      this.#raft.timeIs(this.#ports.clock.nowMs() / this.#config.timing.tickMs);
    this.#leases.turn();
    this.#reads.askTurn(this.#askReadIndex);
    this.#cluster.turn();
    do {
      this.#rounds.begin();
      this.#pump.drain();
      this.#noticeLeader();
      // A commit may have ended the round, outcomes may have made room for the next batch.
    } while (this.#rounds.isDue);
    this.#rounds.wakeWhenDue();
    this.#outbox.flush();
    this.#serveReads();
    this.#leases.flush();
    // After the answers: an event never keeps its own put waiting.
    if (this.#hub.turn()) this.#ports.requestTurn();
    const isBusy = this.#pending.commands > 0;
    if (this.#images.turn(this.#storeWriter.isIdle, isBusy)) this.#ports.requestTurn();
    if (this.snapshots.turn(this.#storeWriter.isIdle)) this.#ports.requestTurn();
    // A batch that began now would only have to be waited for: its rows are in the snapshot.
    if (!this.#pump.isHeld && !this.#defragment.holdsStore) this.#storeWriter.turn();
    this.#defragment.turn(this.#storeWriter.isIdle);
    if (this.#jobs.step(!this.#defragment.isUnderWay)) this.#ports.requestTurn();
    this.#tellLinks();
  }

  propose(kind: CommandKind, body: Uint8Array, completion: ProposalCompletion): void {
    if (this.#stopped) completion.onRefused(errStopped);
    else if (this.#raft.isRefilling) completion.onRefused(errNoLeader);
    else if (this.#applier.unflushedBytes > unflushedBytesMax)
      completion.onRefused(errTooManyRequests);
    else {
      this.#pending.add(kind, body, completion);
      this.#ports.requestTurn();
    }
  }

  readIndex(completion: ReadCompletion): void {
    if (this.#stopped) completion.onRefused(errStopped);
    else if (this.#raft.isRefilling) completion.onRefused(errNoLeader);
    else {
      this.#reads.add(completion);
      this.#ports.requestTurn();
    }
  }

  readOn(completion: ReadCompletion): void {
    if (this.#stopped) completion.onRefused(errStopped);
    else {
      this.#reads.addLong(completion);
      this.#ports.requestTurn();
    }
  }

  hashKv(revision: number, completion: HashCompletion): void {
    if (this.#stopped) completion.onRefused(errStopped);
    else if (this.#raft.isRefilling) completion.onRefused(errNoLeader);
    else this.#jobs.addHash(revision, completion);
    this.#ports.requestTurn();
  }

  defragment(completion: DefragmentCompletion): void {
    if (this.#stopped) completion.onRefused(errStopped);
    else this.#defragment.add(completion);
    this.#ports.requestTurn();
  }

  onLeaderLost(onLost: () => void): () => void {
    return this.#leaderLoss.add(onLost);
  }

  compactionSettled(done: () => void): void {
    if (this.#stopped) done();
    else this.#jobs.addCompactionWaiter(done);
    this.#ports.requestTurn();
  }

  status(): MemberStatus {
    const { applied, revision } = this.#applier;
    const { isLearner } = this;
    return statusOf(this.#raft, this.#ports.home.engine, { applied, revision, isLearner });
  }

  /** For metrics. */
  numbers(): MemberNumbers {
    return numbersOf({
      ...{ status: this.status(), tally: this.#tally, applier: this.#applier, hub: this.#hub },
      ...{ pending: this.#pending, reads: this.#reads, images: this.#images },
      isDefragmenting: this.#defragment.isUnderWay,
      openSnapshots: this.snapshots.count,
      ...{ renewedLeases: this.#leases.renewedCount, nowMs: this.#ports.clock.nowMs() },
    });
  }

  alarms(): readonly Alarm[] {
    return this.#applier.alarms.list();
  }

  members(): readonly MemberInfo[] {
    return this.#cluster.roster.list();
  }

  changeMembership(request: ChangeRequest, completion: ChangeCompletion): void {
    if (this.#stopped) completion.onRefused(errStopped);
    else this.#cluster.changes.add(request, completion);
    this.#ports.requestTurn();
  }

  transferLeadership(to: MemberId, completion: TransferCompletion): void {
    if (this.#stopped) completion.onRefused(errStopped);
    else this.#cluster.transfers.add(to, completion);
    this.#ports.requestTurn();
  }

  /** Before `stop`: another member shall lead. `done` is called once, within the call or later, or never. */
  handOver(done: () => void): void {
    this.#cluster.transfers.handOver(done);
    this.#ports.requestTurn();
  }

  /** No call waits for an outcome. */
  get isIdle(): boolean {
    return this.#pending.commands === 0 && this.#reads.count === 0;
  }

  #tellLinks(): void {
    const { roster } = this.#cluster;
    if (!roster.takeNews()) return;
    this.#ports.onLinks?.(roster.links());
    if (!roster.isOut) return;
    this.#onStop();
    this.#ports.onRemoved?.();
  }

  #serveReads(): void {
    const { clock, requestTurn } = this.#ports;
    if (!this.#reads.hasDue) return;
    const untilMs = clock.nowMs() + readBudgetMs;
    if (this.#reads.serveDue(() => clock.nowMs() < untilMs)) requestTurn();
  }

  #newStoreWriter(): StoreWriter {
    return new StoreWriter({
      clock: this.#ports.clock,
      engine: this.#ports.home.engine,
      source: this.#applier,
      onDone: (error, batch) => this.#onBatchWritten(error, batch),
      flushSec: this.#tally.storeFlushSec,
    });
  }

  #newDefragment(): Defragment {
    const { home, clock, log, requestTurn: wake, fail } = this.#ports;
    return new Defragment({
      ...{ home, clock, log, wake, fail },
      isReceiving: () => this.#images.receivingFrom !== undefined,
      isHeld: () => this.snapshots.count > 0 || this.#images.isReadingStore,
      compaction: () => this.#applier.store,
      tookSec: this.#tally.defragSec,
    });
  }

  #newInbox(): Inbox {
    return new Inbox({
      ...{ self: this.id, raft: this.#raft, images: this.#images, cluster: this.#cluster },
      ...{ leases: this.#leases, rounds: this.#rounds },
      ...{ tally: this.#tally, oddities: this.#oddities },
    });
  }

  #onTick(): void {
    const { clock, log } = this.#ports;
    const heard = this.#raft.role === "leader" ? this.#raft.peers().length : 0;
    this.#tally.onTick(clock.nowMs(), heard, this.#config.timing, log);
    this.#rounds.tick();
    this.#raft.tick();
    this.#pending.tick(this.#propose);
    this.#reads.tick(this.#askReadIndex);
    this.#tally.onReadsTick(this.#reads.slowCount, this.#oddities);
    this.#leases.tick();
    this.#hub.tick();
    this.#images.tick();
    this.snapshots.tick();
    this.#compaction.tick(this.#images.oldestIndex);
    this.#leaderLoss.tick(this.#raft.leader !== noMember);
    this.#cluster.tick();
  }

  #apply(entries: readonly Entry[]): void {
    const startMs = this.#ports.clock.nowMs();
    for (const entry of entries) {
      if (entry.kind !== EntryKind.normal) {
        if (entry.kind === EntryKind.membership) this.#cluster.apply(entry);
        else this.#applier.skip(entry);
        this.#ports.requestTurn();
        continue;
      }
      const wanted = this.#pending.awaits(entry.data);
      const outcomes = this.#applier.apply(entry, wanted);
      if (!wanted) continue;
      if (outcomes === undefined) {
        this.#pending.renew(entry.data);
        this.#ports.requestTurn();
      } else answerAll(this.#pending.take(entry.data) ?? [], outcomes);
    }
    const tookMs = this.#ports.clock.nowMs() - startMs;
    this.#tally.onApplied(tookMs);
    this.times.onRound(entries.length, tookMs);
    this.#reads.onApplied(this.#applier.applied);
    this.#compaction.onApplied(entries);
  }

  /** The store is that of a snapshot, and raft's log begins behind it: everything goes on from there. */
  #onStoreReplaced(error: Error | undefined): void {
    if (error !== undefined) {
      this.#ports.fail(error);
      return;
    }
    this.#applier = this.#openApplier();
    const { applied, store } = this.#applier;
    this.#raft.applied(applied);
    this.#compaction.onRestored(applied);
    this.#storeWriter = this.#newStoreWriter();
    this.#pending.onStateReplaced(this.#applier.lastBatchOf(this.#config.id));
    this.#jobs.rebind(this.#applier);
    this.#cluster.rebind(this.#applier);
    this.#hub.rebind(store);
    this.#reads.onApplied(applied);
    this.#pump.resume();
    this.#ports.log.info("took over a snapshot", { index: applied, revision: store.revision });
    this.#ports.requestTurn();
  }

  #onReads(ready: Ready): void {
    for (const state of ready.readStates) this.#reads.onConfirmed(state, this.#applier.applied);
    for (const requestId of ready.readsLost) this.#reads.onLost(requestId);
  }

  #noticeLeader(): void {
    const { leader, term } = this.#raft;
    if (leader === this.#leader && term === this.#leaderTerm) return;
    this.#leader = leader;
    this.#leaderTerm = term;
    this.#cluster.onLeader(leader);
    if (leader !== noMember) {
      this.#tally.leaderChanges++;
      this.#pending.onLeader(this.#propose);
      this.#reads.onLeader(this.#askReadIndex);
      this.#pump.drain();
    }
    this.#ports.onLeader?.(this.status());
  }

  #onBatchWritten(error: Error | undefined, batch: EngineBatch): void {
    if (error !== undefined) this.#ports.fail(error);
    else {
      this.#defragment.onBatch(batch);
      this.#compaction.onFlushed(this.#applier.store.savedApplied.index);
      this.#ports.requestTurn();
    }
  }

  #onStop(): void {
    this.#stopped = true;
    this.#pending.refuseAll(errStopped);
    this.#reads.refuseAll(errStopped);
    this.#leases.stop();
    this.#jobs.refuseAll(errStopped);
    this.#images.stop();
    this.#defragment.stop();
    this.snapshots.stop();
    this.#cluster.refuseAll(errStopped);
    this.#hub.stop();
  }
}
