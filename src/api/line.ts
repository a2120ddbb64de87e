// The line before a lock or an election: calls that wait until nobody is before them. A place is a key
// with its create revision, as in etcd's own layout, so clients that stand in line by themselves and
// callers of the services wait for each other.
//
//   lease ─► step in ─► look ──────────► someone is before us: join the view of the line ─► look again
//                        ├─ nobody, at the first look ─────────────────────────────────► ours
//                        └─ nobody, after a wait ─► read round ─► our key is still there ─► ours
//
// Looks are local: this member has applied our own key, so it knows all that were before it, and one
// that is gone does not come back with its old revision. Only that our lease has not ended meanwhile
// has to be asked of the cluster. All calls in one line share its view, see lineView.ts.
import type { TxnResult } from "../apply/outcome.ts";
import { unreachable } from "../base/assert.ts";
import { type LeaseId, noLease } from "../base/brand.ts";
import { emptyBytes, equalBytes, toLatin1 } from "../base/bytes.ts";
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
import { rowCreateRevision, rowKey, rowModRevision, rowValue } from "../proto/keyValue.ts";
import { SortOrder, SortTarget } from "../proto/kv.ts";
import type { WatchId } from "../proto/watch.ts";
import { eventRow } from "../proto/watchCodec.ts";
import { type KeyLife, type LineCommands, letOut, plainRange } from "./lineCommands.ts";
import { LineView, type Standing } from "./lineView.ts";

/** Calls that stand in line at one member; more are refused. */
export const waitingCallsMax = 100_000;

const changes = {
  prevKv: false,
  noPut: false,
  noDelete: false,
  fragment: false,
  progress: false,
};

export interface LineOptions {
  readonly waitingMax?: number;
  /** Runs something outside of whatever the member is in the middle of. */
  readonly soon?: (run: () => void) => void;
}

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
  readonly #soon: (run: () => void) => void;
  readonly #turns = new Set<Turn>();
  /** Calls that are over, whose places are not given up yet. */
  #leaving = 0;
  /** Of lines in which somebody waits here, by name. */
  readonly #views = new Map<string, WatchedView>();
  readonly #watched = new Map<WatchId, WatchedView>();
  #stream: WatchStream | undefined;
  #due: Turn[] = [];

  constructor(member: MemberService, commands: LineCommands, options: LineOptions = {}) {
    const { waitingMax = waitingCallsMax, soon = queueMicrotask } = options;
    this.member = member;
    this.commands = commands;
    this.#waitingMax = waitingMax;
    this.#soon = soon;
  }

  /** Calls that stand in line, or are on their way to it or out of it. */
  get waitingCalls(): number {
    return this.#turns.size + this.#leaving;
  }

  /** @param spec kept: its bytes are the caller's own copy. */
  enter(call: Pick<UnaryCall, "onCancel">, spec: LineSpec, completion: TurnCompletion): void {
    if (this.waitingCalls >= this.#waitingMax) {
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
    if (this.#due.length === 1) this.#soon(() => this.#lookAll());
  }

  /** Where a place is in its line. @returns undefined: there are too many watchers. */
  standing(turn: Turn, place: Place): Standing | undefined {
    const name = toLatin1(turn.name);
    let found = this.#views.get(name);
    if (found === undefined) {
      const { rows, revision } = this.#rowsOf(turn.name);
      const at = rows.findIndex((row) => isPlace(row, place));
      // The usual case: nobody is in the way, and nothing has to be remembered.
      if (at <= 0) return at === 0 ? "first" : "gone";
      found = this.#open(turn.name, { rows, revision });
      if (found === undefined) return undefined;
    }
    found.view.join(place.key, turn);
    return found.view.standing(place);
  }

  /** The turn is over: the view of its line goes with the last one. */
  leave(turn: Turn, place: Place): void {
    const name = toLatin1(turn.name);
    const found = this.#views.get(name);
    if (found === undefined) return;
    found.view.leave(place.key, turn);
    if (!found.view.isIdle) return;
    this.#views.delete(name);
    this.#watched.delete(found.id);
    this.#stream?.cancel(found.id);
  }

  forget(turn: Turn): void {
    this.#turns.delete(turn);
  }

  /**
   * Until it is written or refused for good: a place that nobody stands in any more must not hold up the
   * line, and its lease may live for long. An attempt takes as long as a request may.
   */
  insist(attempt: (completion: Attempt) => void): void {
    this.#leaving++;
    const onDone = (): void => void this.#leaving--;
    const again = (): void => attempt({ onDone, onRefused });
    const onRefused = (error: EtcdError): void => {
      if (isPassing(error)) again();
      else if (error !== errTooManyRequests) onDone();
      // The member has its hands full: a round later there may be room.
      else this.member.readIndex({ onReady: again, onRefused });
    };
    again();
  }

  onEvents(id: WatchId, { events, last }: EventMessage): boolean {
    const found = this.#watched.get(id);
    if (found === undefined) return true;
    for (const event of events) {
      const { isDelete, row } = eventRow(event);
      if (isDelete) found.view.remove(rowKey(row));
      else if (rowCreateRevision(row) === rowModRevision(row)) {
        found.view.add(rowKey(row), rowCreateRevision(row));
      }
    }
    found.view.heardUpTo(last);
    return true;
  }

  /** What happened may be among what is compacted: who waits looks at the line anew. */
  onCompacted(id: WatchId): boolean {
    const found = this.#watched.get(id);
    if (found === undefined) return true;
    this.#views.delete(found.name);
    this.#watched.delete(id);
    this.#soon(() => this.#stream?.cancel(id));
    for (const turn of found.view.turns) this.lookSoon(turn);
    return true;
  }

  onProgress(): boolean {
    return true;
  }

  onStopped(): void {
    this.#stream = undefined;
    this.#views.clear();
    this.#watched.clear();
    for (const turn of [...this.#turns]) turn.stop();
  }

  /** In the order in which they stepped in. */
  #rowsOf(name: Uint8Array): LineRows {
    return this.member.state.range({
      ...plainRange,
      key: linePrefix(name),
      rangeEnd: lineEnd(name),
      sortTarget: SortTarget.create,
      sortOrder: SortOrder.ascend,
      keysOnly: true,
    });
  }

  #open(name: Uint8Array, { rows, revision }: LineRows): WatchedView | undefined {
    this.#stream ??= this.member.watches.open(this);
    const range = { key: linePrefix(name), rangeEnd: lineEnd(name) };
    const id = this.#stream.create({ ...range, start: revision + 1, wants: changes, id: 0 });
    if (typeof id === "string") return undefined;
    const view = new LineView<Turn>(revision, (turn) => this.lookSoon(turn));
    for (const row of rows) view.add(rowKey(row), rowCreateRevision(row));
    const found = { name: toLatin1(name), view, id };
    this.#views.set(found.name, found);
    this.#watched.set(id, found);
    return found;
  }

  #lookAll(): void {
    const turns = this.#due;
    this.#due = [];
    for (const turn of turns) turn.look();
  }
}

interface Attempt {
  onDone(): void;
  onRefused(error: EtcdError): void;
}

interface LineRows {
  readonly rows: readonly Uint8Array[];
  readonly revision: number;
}

interface WatchedView {
  readonly name: string;
  readonly view: LineView<Turn>;
  readonly id: WatchId;
}

const isPlace = (row: Uint8Array, { key, createRevision }: Place): boolean =>
  rowCreateRevision(row) === createRevision && equalBytes(rowKey(row), key);

/** One call on its way to the front. */
class Turn {
  readonly #line: Line;
  readonly #spec: LineSpec;
  readonly #completion: TurnCompletion;
  #lease: LeaseId;
  #place: Place | undefined;
  #hasWaited = false;
  #isConfirming = false;
  #isOver = false;

  constructor(line: Line, spec: LineSpec, completion: TurnCompletion) {
    this.#line = line;
    this.#spec = spec;
    this.#completion = completion;
    this.#lease = spec.lease;
  }

  get name(): Uint8Array {
    return this.#spec.name;
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
    const standing = this.#line.standing(this, place);
    if (standing === undefined) this.#refuse(errTooManyRequests);
    else if (standing === "gone") this.#refuse(this.#spec.errExpired);
    else if (standing !== "first") this.#hasWaited = true;
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

  #confirm(place: Place): void {
    if (this.#isConfirming) return;
    this.#isConfirming = true;
    this.#line.member.readIndex({
      onReady: () => {
        if (this.#isOver) return;
        if (this.#isThere(place)) this.#take(place);
        else this.#refuse(this.#spec.errExpired);
      },
      onRefused: (error) => {
        if (this.#isOver) return;
        this.#isConfirming = false;
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
    if (this.#place !== undefined) this.#line.leave(this, this.#place);
    this.#line.forget(this);
    return true;
  }

  /** Takes away what this call wrote, so that the next in line goes on. */
  #leave(): void {
    const { commands } = this.#line;
    const lease = this.#lease;
    if (this.#spec.lease === noLease) {
      if (lease !== noLease) this.#line.insist((done) => commands.revoke(lease, done));
    } else if (this.#place !== undefined) this.#stepOut(this.#place);
  }

  #stepOut(place: Place): void {
    this.#line.insist((done) => this.#line.commands.stepOut(place, done));
  }
}

function foundRow({ results }: TxnResult): Uint8Array {
  const [first] = results;
  const row = first?.kind === "range" ? first.rows[0] : undefined;
  return row ?? unreachable("a key that has a create revision is there");
}

const passing: ReadonlySet<EtcdError> = new Set([
  errLeaderChanged,
  errTimeout,
  errTimeoutConnectionLost,
  errTimeoutLeaderFail,
]);

/** Only those that come after a wait: asking again is no loop. */
const isPassing = (error: EtcdError): boolean => passing.has(error);
