// One Observe stream: what the leader of an election says, and what the next one does after its end.
import { copyBytes, emptyBytes } from "../base/bytes.ts";
import { EtcdError, errMalformed, errStopped, errTooManyRequests } from "../base/errors.ts";
import { lineEnd, linePrefix } from "../base/lineKeys.ts";
import type { StreamCall, StreamHandler } from "../grpc/call.ts";
import type { MemberService, StateReader } from "../member/service.ts";
import type { EventMessage, WatchSink, WatchSpec, WatchStream } from "../member/watches.ts";
import { decodeLeaderRequest } from "../proto/electionCodec.ts";
import { rowKey, rowModRevision } from "../proto/keyValue.ts";
import { SortOrder, SortTarget } from "../proto/kv.ts";
import { Malformed } from "../proto/reader.ts";
import type { WatchId } from "../proto/watch.ts";
import { eventRow } from "../proto/watchCodec.ts";
import { letOut, plainRange } from "./lineCommands.ts";

/** Valid until the next is made. */
export type EncodeLeader = (row: Uint8Array, revision: number) => Uint8Array;

/** Who leads in this member's state; undefined: nobody. */
export function firstOf(
  state: StateReader,
  name: Uint8Array,
): { readonly row: Uint8Array; readonly revision: number } | undefined {
  const { rows, revision } = state.range({
    ...plainRange,
    key: linePrefix(name),
    rangeEnd: lineEnd(name),
    sortTarget: SortTarget.create,
    sortOrder: SortOrder.ascend,
    limit: 1,
  });
  const [row] = rows;
  return row === undefined ? undefined : { row, revision };
}

const everything = {
  prevKv: false,
  noPut: false,
  noDelete: false,
  fragment: false,
  progress: false,
};

export class ObserveCall implements StreamHandler, WatchSink {
  readonly #member: MemberService;
  readonly #call: StreamCall;
  readonly #encode: EncodeLeader;
  readonly #stream: WatchStream;
  #name: Uint8Array | undefined;
  #watchId: WatchId | undefined;
  /** Whom we hear; undefined: the first who comes. */
  #leader: Uint8Array | undefined;
  #isOver = false;

  constructor(member: MemberService, call: StreamCall, encode: EncodeLeader) {
    this.#member = member;
    this.#call = call;
    this.#encode = encode;
    this.#stream = member.watches.open(this);
  }

  onMessage(message: Uint8Array): void {
    // One request; the server of grpc-go looks at no other.
    if (this.#name !== undefined || this.#isOver) return;
    const request = decodeLeaderRequest(message);
    if (request instanceof Malformed) {
      this.#end(errMalformed(request.why));
      return;
    }
    this.#name = copyBytes(request.name);
    this.#member.readIndex({
      onReady: () => this.#look(),
      onRefused: (error) => this.#end(letOut(error)),
    });
  }

  onHalfClose(): void {}

  onDrain(): void {
    if (!this.#isOver) this.#stream.drained();
  }

  onCancel(): void {
    this.#isOver = true;
    this.#stream.close();
  }

  onEvents(id: WatchId, { events, revision }: EventMessage): boolean {
    let isTaken = true;
    for (const event of events) {
      // What comes after a change of leader is looked at anew.
      if (id !== this.#watchId) break;
      const { isDelete, row } = eventRow(event);
      if (isDelete) this.#leave(() => this.#look());
      else if (this.#leader !== undefined) isTaken = this.#write(row, revision) && isTaken;
      else {
        const modRevision = rowModRevision(row);
        const leader = copyBytes(rowKey(row));
        isTaken = this.#write(row, modRevision) && isTaken;
        this.#leave(() => this.#follow(leader, modRevision + 1));
      }
    }
    return isTaken;
  }

  /** The end of a leader may be among what is compacted. */
  onCompacted(id: WatchId): boolean {
    if (id === this.#watchId) this.#leave(() => this.#look());
    return true;
  }

  onProgress(): boolean {
    return true;
  }

  onStopped(): void {
    this.#isOver = true;
    this.#call.fail(errStopped);
  }

  #look(): void {
    const name = this.#name;
    if (this.#isOver || name === undefined) return;
    const first = firstOf(this.#member.state, name);
    if (first === undefined) {
      this.#leader = undefined;
      const range = { key: linePrefix(name), rangeEnd: lineEnd(name) };
      this.#watch({ ...range, start: 0, wants: { ...everything, noDelete: true } });
      return;
    }
    if (!this.#write(first.row, first.revision)) this.#stream.stall();
    this.#follow(copyBytes(rowKey(first.row)), first.revision + 1);
  }

  #follow(leader: Uint8Array, from: number): void {
    this.#leader = leader;
    this.#watch({ key: leader, rangeEnd: emptyBytes, start: from, wants: everything });
  }

  #watch(spec: Omit<WatchSpec, "id">): void {
    if (this.#isOver) return;
    const id = this.#stream.create({ ...spec, id: 0 });
    if (typeof id === "string") this.#end(errTooManyRequests);
    else this.#watchId = id;
  }

  /** The hub is in the middle of its turn: it hears of it after. */
  #leave(next: () => void): void {
    const id = this.#watchId;
    this.#watchId = undefined;
    queueMicrotask(() => {
      if (this.#isOver || id === undefined) return;
      this.#stream.cancel(id);
      next();
    });
  }

  #write(row: Uint8Array, revision: number): boolean {
    try {
      return this.#call.write(this.#encode(row, revision));
    } catch (error) {
      // An answer above the send limit.
      if (!(error instanceof EtcdError)) throw error;
      queueMicrotask(() => this.#end(error));
      return false;
    }
  }

  #end(error: EtcdError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stream.close();
    this.#call.fail(error);
  }
}
