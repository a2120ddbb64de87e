// The line before a lock or an election: calls that wait until nobody is before them. A place is a key
// with its create revision, as in etcd's own layout, so clients that stand in line by themselves and
// callers of the services wait for each other.
//
//   lease ─► step in ─► look ──────────► someone is before us: watch its key ─► gone: look again
//                        ├─ nobody, at the first look ─────────────────────────────────► ours
//                        └─ nobody, after a wait ─► read round ─► our key is still there ─► ours
//
// Looks are local: this member has applied our own key, so it knows all that were before it, and one
// that is gone does not come back with its old revision. Only that our lease has not ended meanwhile
// has to be asked of the cluster.
import type { TxnResult } from "../apply/outcome.ts";
import { unreachable } from "../base/assert.ts";
import { type LeaseId, noLease } from "../base/brand.ts";
import { emptyBytes, equalBytes } from "../base/bytes.ts";
import {
  type EtcdError,
  errElectionNotLeader,
  errLeaderChanged,
  errStopped,
  errTimeout,
  errTimeoutConnectionLost,
  errTimeoutLeaderFail,
  errTooManyRequests,
} from "../base/errors.ts";
import { lineEnd, linePrefix, placeKey } from "../base/lineKeys.ts";
import type { UnaryCall } from "../grpc/call.ts";
import type { MemberService } from "../member/service.ts";
import type { EventMessage, WatchSink, WatchStream } from "../member/watches.ts";
import { rowCreateRevision, rowKey, rowValue } from "../proto/keyValue.ts";
import { SortOrder, SortTarget } from "../proto/kv.ts";
import type { WatchId } from "../proto/watch.ts";
import { type KeyLife, type LineCommands, letOut, plainRange } from "./lineCommands.ts";

/** Calls that stand in line at one member; more are refused. */
export const waitingCallsMax = 100_000;
/** How often a place is given up again when the cluster does not answer; its lease ends it otherwise. */
export const leaveAttemptsMax = 8;

const deletesOnly = {
  prevKv: false,
  noPut: true,
  noDelete: false,
  fragment: false,
  progress: false,
};

export interface LineSpec {
  readonly name: Uint8Array;
  /** `noLease`: one is granted, and taken back if the call comes to nothing. */
  readonly lease: LeaseId;
  /** Undefined: the key holds nothing, and what it holds does not matter. */
  readonly value: Uint8Array | undefined;
  /** What a caller is told whose key went away with its lease. */
  readonly errExpired: EtcdError;
}

export interface Place extends KeyLife {
  readonly lease: LeaseId;
  /** Of the command that stepped in, or found the place. */
  readonly enteredRevision: number;
}

/** At most one of the two is called, once; none for a call that was cancelled. */
export interface TurnCompletion {
  /** @param revision at which nobody was before this place, and it was there: grows from turn to turn. */
  onTurn(place: Place, revision: number): void;
  onRefused(error: EtcdError): void;
}

export class Line implements WatchSink {
  readonly member: MemberService;
  readonly commands: LineCommands;
  readonly #waitingMax: number;
  readonly #turns = new Set<Turn>();
  /** By the watcher of the key before them. */
  readonly #watching = new Map<WatchId, Turn>();
  #stream: WatchStream | undefined;
  #due: Turn[] = [];

  constructor(member: MemberService, commands: LineCommands, waitingMax = waitingCallsMax) {
    this.member = member;
    this.commands = commands;
    this.#waitingMax = waitingMax;
  }

  /** Calls that stand in line, or are on their way to it. */
  get waitingCalls(): number {
    return this.#turns.size;
  }

  /** @param spec kept: its bytes are the caller's own copy. */
  enter(call: UnaryCall, spec: LineSpec, completion: TurnCompletion): void {
    if (this.#turns.size >= this.#waitingMax) {
      completion.onRefused(errTooManyRequests);
      return;
    }
    const turn = new Turn(this, spec, completion);
    this.#turns.add(turn);
    call.onCancel(() => turn.cancel());
    turn.start();
  }

  /** Looks soon, outside of whatever the member is in the middle of. */
  lookSoon(turn: Turn): void {
    this.#due.push(turn);
    if (this.#due.length === 1) queueMicrotask(() => this.#lookAll());
  }

  /** @returns the watcher; undefined: there are too many. */
  watch(turn: Turn, key: Uint8Array): WatchId | undefined {
    this.#stream ??= this.member.watches.open(this);
    const spec = { key, rangeEnd: emptyBytes, start: 0, wants: deletesOnly, id: 0 };
    const id = this.#stream.create(spec);
    if (typeof id === "string") return undefined;
    this.#watching.set(id, turn);
    return id;
  }

  unwatch(id: WatchId): void {
    this.#watching.delete(id);
    this.#stream?.cancel(id);
  }

  forget(turn: Turn): void {
    this.#turns.delete(turn);
  }

  onEvents(id: WatchId, _message: EventMessage): boolean {
    this.#wake(id);
    return true;
  }

  /** The deletion may be among what is compacted. */
  onCompacted(id: WatchId): boolean {
    this.#wake(id);
    return true;
  }

  onProgress(): boolean {
    return true;
  }

  onStopped(): void {
    this.#stream = undefined;
    this.#watching.clear();
    for (const turn of [...this.#turns]) turn.stop();
  }

  #wake(id: WatchId): void {
    const turn = this.#watching.get(id);
    if (turn !== undefined) this.lookSoon(turn);
  }

  #lookAll(): void {
    const turns = this.#due;
    this.#due = [];
    for (const turn of turns) turn.look();
  }
}

/** One call on its way to the front. */
class Turn {
  readonly #line: Line;
  readonly #spec: LineSpec;
  readonly #completion: TurnCompletion;
  #lease: LeaseId;
  #place: Place | undefined;
  #watchId: WatchId | undefined;
  #hasWaited = false;
  #isOver = false;

  constructor(line: Line, spec: LineSpec, completion: TurnCompletion) {
    this.#line = line;
    this.#spec = spec;
    this.#completion = completion;
    this.#lease = spec.lease;
  }

  start(): void {
    if (this.#lease !== noLease) this.#stepIn();
    else {
      this.#line.commands.grant({
        onDone: ({ id }) => this.#onGranted(id),
        onRefused: (error) => this.#refuse(error),
      });
    }
  }

  /** The caller went away: what it stood in line with goes too. */
  cancel(): void {
    if (this.#finish()) this.#leave();
  }

  /** The member stops, and can write nothing any more. */
  stop(): void {
    if (this.#finish()) this.#completion.onRefused(errStopped);
  }

  look(): void {
    const place = this.#place;
    if (this.#isOver || place === undefined) return;
    this.#unwatch();
    if (!this.#isThere(place)) {
      this.#refuse(this.#spec.errExpired);
      return;
    }
    const before = this.#before(place);
    if (before !== undefined) this.#waitFor(before);
    else if (this.#hasWaited) this.#confirm(place);
    else this.#take(place);
  }

  #onGranted(id: LeaseId): void {
    this.#lease = id;
    if (this.#isOver) this.#leave();
    else this.#stepIn();
  }

  #stepIn(): void {
    const { name, value = emptyBytes } = this.#spec;
    const key = placeKey(name, this.#lease);
    this.#line.commands.stepIn(
      { key, value, lease: this.#lease },
      {
        onDone: (result) => this.#onSteppedIn(key, result),
        onRefused: (error) => this.#refuse(error),
      },
    );
  }

  #onSteppedIn(key: Uint8Array, result: TxnResult): void {
    const found = result.succeeded ? undefined : foundRow(result);
    const createRevision = found === undefined ? result.revision : rowCreateRevision(found);
    const place = { key, createRevision, lease: this.#lease, enteredRevision: result.revision };
    if (this.#isOver) {
      // What was there before this call may be a lock that is held; a lease of ours is revoked already.
      if (found === undefined && this.#spec.lease !== noLease) this.#stepOut(place);
      return;
    }
    this.#place = place;
    const { value } = this.#spec;
    if (found === undefined || value === undefined || equalBytes(rowValue(found), value)) {
      this.#line.lookSoon(this);
    } else this.#say(place, value);
  }

  /** Comes again, with something else to say. */
  #say(place: Place, value: Uint8Array): void {
    this.#line.commands.say(
      place,
      { value, lease: this.#lease },
      {
        onDone: ({ succeeded }) => {
          if (succeeded) this.#line.lookSoon(this);
          else this.#refuse(errElectionNotLeader);
        },
        onRefused: (error) => this.#refuse(error),
      },
    );
  }

  /** Whether the lease, and the key with it, has not ended. */
  #isThere({ key, createRevision }: Place): boolean {
    const { rows } = this.#line.member.state.range({ ...plainRange, key, keysOnly: true });
    const [row] = rows;
    return row !== undefined && rowCreateRevision(row) === createRevision;
  }

  /** The last of those before us. */
  #before({ createRevision }: Place): Uint8Array | undefined {
    const { name } = this.#spec;
    const { rows } = this.#line.member.state.range({
      ...plainRange,
      key: linePrefix(name),
      rangeEnd: lineEnd(name),
      maxCreateRevision: createRevision - 1,
      sortTarget: SortTarget.create,
      sortOrder: SortOrder.descend,
      limit: 1,
      keysOnly: true,
    });
    const [row] = rows;
    return row === undefined ? undefined : rowKey(row);
  }

  #waitFor(key: Uint8Array): void {
    this.#hasWaited = true;
    this.#watchId = this.#line.watch(this, key);
    if (this.#watchId === undefined) this.#refuse(errTooManyRequests);
  }

  #confirm(place: Place): void {
    this.#line.member.readIndex({
      onReady: () => {
        if (this.#isOver) return;
        if (this.#isThere(place)) this.#take(place);
        else this.#refuse(this.#spec.errExpired);
      },
      onRefused: (error) => {
        if (this.#isOver) return;
        // Waiting goes on through changes of leader, for as long as the caller wants to.
        if (isPassing(error)) this.#confirm(place);
        else this.#refuse(error);
      },
    });
  }

  #take(place: Place): void {
    if (this.#finish()) this.#completion.onTurn(place, this.#line.member.state.revision);
  }

  #refuse(error: EtcdError): void {
    if (!this.#finish()) return;
    this.#leave();
    this.#completion.onRefused(letOut(error));
  }

  #finish(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#unwatch();
    this.#line.forget(this);
    return true;
  }

  #unwatch(): void {
    if (this.#watchId !== undefined) this.#line.unwatch(this.#watchId);
    this.#watchId = undefined;
  }

  /** Takes away what this call wrote, so that the next in line goes on. */
  #leave(): void {
    const { commands } = this.#line;
    const lease = this.#lease;
    if (this.#spec.lease === noLease) {
      if (lease !== noLease) repeat((done) => commands.revoke(lease, done));
    } else if (this.#place !== undefined) this.#stepOut(this.#place);
  }

  #stepOut(place: Place): void {
    repeat((done) => this.#line.commands.stepOut(place, done));
  }
}

function foundRow({ results }: TxnResult): Uint8Array {
  const [first] = results;
  const row = first?.kind === "range" ? first.rows[0] : undefined;
  return row ?? unreachable("a key that has a create revision is there");
}

interface Attempt {
  onDone(): void;
  onRefused(error: EtcdError): void;
}

/** Until it is written, or refused for good, or `leaveAttemptsMax` is reached. */
function repeat(attempt: (completion: Attempt) => void, attempts = 1): void {
  attempt({
    onDone: () => {},
    onRefused: (error) => {
      if (isPassing(error) && attempts < leaveAttemptsMax) repeat(attempt, attempts + 1);
    },
  });
}

const passing: ReadonlySet<EtcdError> = new Set([
  errLeaderChanged,
  errTimeout,
  errTimeoutConnectionLost,
  errTimeoutLeaderFail,
]);

/** Only those that come after a wait: asking again is no loop. */
const isPassing = (error: EtcdError): boolean => passing.has(error);
