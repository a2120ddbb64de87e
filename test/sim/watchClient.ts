// A client that watches: one stream at one member, some watchers on it. It reads now and then, leaves by
// whim or when the member dies, and goes on elsewhere from where each watcher was.
import type { MemberId } from "../../src/base/brand.ts";
import type { MemberService } from "../../src/member/service.ts";
import type { EventMessage, WatchSink, WatchStream } from "../../src/member/watches.ts";
import { Malformed } from "../../src/proto/reader.ts";
import type { WatchEventMessage, WatchId } from "../../src/proto/watch.ts";
import { decodeWatchResponse } from "../../src/proto/watchCodec.ts";
import { type Watched, type WatchJudge, WatchView } from "./checkers/watches.ts";
import { keysFrom, keysTo } from "./operation.ts";
import type { SimMember, World } from "./simMember.ts";
import { check, Violation } from "./violation.ts";

const name = "watches";
/** Before a client tries another member. */
const retryUs = 20_000;
/** Messages that wait to be read; with more the client takes nothing. */
const inboxMax = 4;
const watchersMax = 3;
/** A watcher that begins in the past begins at most so far back, and so far ahead in the future. */
const pastRevisionsMax = 40;
const futureRevisionsMax = 15;
/** Between two whims of a client: it leaves its member, gives up a watcher, or asks for progress. */
const whimUsMax = 2_000_000;

type Word =
  | { readonly kind: "created"; readonly id: WatchId; readonly view: WatchView }
  | { readonly kind: "events"; readonly id: WatchId; readonly message: EventMessage }
  | { readonly kind: "progress"; readonly id: WatchId | undefined; readonly revision: number }
  | { readonly kind: "compacted"; readonly id: WatchId; readonly floor: number }
  | { readonly kind: "stopped" };

/** One stream at one life of a member. */
interface Connection {
  readonly member: SimMember;
  readonly stream: WatchStream;
  /** Watchers that the client has heard to be created. */
  readonly views: Map<WatchId, WatchView>;
  readonly inbox: Word[];
  /** The hub was told that nothing more is taken. */
  stalled: boolean;
}

export interface WatchClientParts {
  readonly id: number;
  readonly judge: WatchJudge;
  readonly members: readonly SimMember[];
  readonly keys: readonly string[];
  readonly readUsMax: number;
}

export class WatchClient {
  readonly #world: World;
  readonly #parts: WatchClientParts;
  readonly #views: WatchView[] = [];
  #connection: Connection | undefined;
  /** Asked for a stream, and not answered. */
  #joining: MemberId | undefined;
  #readUsMax: number;
  #running = true;
  #made = 0;

  constructor(world: World, parts: WatchClientParts) {
    this.#world = world;
    this.#parts = parts;
    this.#readUsMax = parts.readUsMax;
  }

  /** Every watcher was told of everything there is. */
  get isComplete(): boolean {
    return this.#connection !== undefined && this.#views.every((view) => view.isComplete);
  }

  describe(): string {
    const behind = this.#views.filter((view) => !view.isComplete).map(({ next }) => next);
    return `watch client ${this.#parts.id} waits from ${behind.join(", ")}`;
  }

  begin(): void {
    this.#connectLater();
    this.#actLater();
  }

  /** From now on it reads at once and stays where it is. */
  settle(): void {
    this.#readUsMax = 1_000;
    this.#running = false;
  }

  onCrash(id: MemberId): void {
    if (this.#connection?.member.id === id) this.#lose();
    else if (this.#joining === id) this.#connectLater();
  }

  #lose(): void {
    this.#connection = undefined;
    for (const view of this.#views) view.onStreamLost();
    this.#connectLater();
  }

  #connectLater(): void {
    const { queue, random } = this.#world;
    this.#joining = undefined;
    queue.after(1 + random.integer(retryUs), () => {
      const { members } = this.#parts;
      const member = members[random.integer(members.length)];
      if (member?.isUp !== true) this.#connectLater();
      else this.#connect(member);
    });
  }

  #connect(member: SimMember): void {
    this.#joining = member.id;
    member.later(0, () => {
      this.#joining = undefined;
      member.visit((service) => this.#open(member, service));
    });
  }

  #open(member: SimMember, service: MemberService): void {
    const inbox: Word[] = [];
    const take = (word: Word): boolean => {
      if (inbox.push(word) === 1) this.#readLater();
      const takesMore = inbox.length < inboxMax;
      if (!takesMore && connection) connection.stalled = true;
      return takesMore;
    };
    const sink: WatchSink = {
      onEvents: (id, message) => take({ kind: "events", id, message }),
      onProgress: (id, revision) => take({ kind: "progress", id, revision }),
      onCompacted: (id, floor) => take({ kind: "compacted", id, floor }),
      onStopped: () => void take({ kind: "stopped" }),
    };
    const stream = service.watches.open(sink);
    const connection: Connection = { member, stream, views: new Map(), inbox, stalled: false };
    this.#connection = connection;
    this.#world.sites.count("watch.connect");
    for (const view of this.#views) this.#resume(connection, view);
    while (this.#views.length < 1 + (this.#parts.id % watchersMax))
      this.#watch(connection, service);
  }

  #watch(connection: Connection, service: MemberService): void {
    const { judge, id } = this.#parts;
    const now = service.state.revision + 1;
    const start = this.#drawStart(now);
    const next = start === 0 ? now : start;
    const title = `watcher ${id}.${++this.#made}`;
    const view = new WatchView(title, this.#drawWatched(), { judge, next });
    this.#views.push(view);
    this.#create(connection, view, start);
  }

  #resume(connection: Connection, view: WatchView): void {
    this.#create(connection, view, view.next);
  }

  #create(connection: Connection, view: WatchView, start: number): void {
    const { random, trace } = this.#world;
    const { from, to, prevKv, noPut, noDelete } = view.watched;
    const wants = { prevKv, noPut, noDelete, fragment: random.oneIn(2), progress: random.oneIn(2) };
    const [key, rangeEnd] = [Buffer.from(from, "latin1"), Buffer.from(to ?? "", "latin1")];
    const id = connection.stream.create({ key, rangeEnd, start, wants, id: 0 });
    if (typeof id === "string") throw new Violation(name, `a watch of ${from} is refused: ${id}`);
    connection.inbox.push({ kind: "created", id, view });
    if (connection.inbox.length === 1) this.#readLater();
    if (trace.on)
      trace.line(
        `watch client ${this.#parts.id} watches ${from} at m${connection.member.id} from ${start}`,
      );
  }

  /** Mostly from now on; 0 says so. */
  #drawStart(now: number): number {
    const { random, sites } = this.#world;
    const kind = random.integer(4);
    if (kind === 0) {
      sites.count("watch.future");
      return now + random.integer(futureRevisionsMax);
    }
    if (kind > 1) return 0;
    sites.count("watch.past");
    return Math.max(1, now - random.integer(pastRevisionsMax));
  }

  #drawWatched(): Watched {
    const { random } = this.#world;
    const { keys } = this.#parts;
    const isAll = random.oneIn(2);
    const filter = random.integer(6);
    return {
      from: isAll ? keysFrom : (keys[random.integer(keys.length)] ?? keysFrom),
      to: isAll ? keysTo : undefined,
      prevKv: random.oneIn(2),
      noPut: filter === 0,
      noDelete: filter === 1,
    };
  }

  #readLater(): void {
    const { queue, random } = this.#world;
    queue.after(1 + random.integer(this.#readUsMax), () => this.#read());
  }

  #read(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    for (const word of connection.inbox.splice(0)) {
      if (word.kind === "stopped") {
        this.#lose();
        return;
      }
      this.#hear(connection, word);
    }
    if (!connection.stalled) return;
    connection.stalled = false;
    this.#world.sites.count("watch.stall");
    this.#do(connection, () => connection.stream.drained());
  }

  #actLater(): void {
    const { queue, random } = this.#world;
    queue.after(1 + random.integer(whimUsMax), () => {
      if (!this.#running) return;
      if (this.#connection !== undefined) this.#act(this.#connection);
      this.#actLater();
    });
  }

  #act(connection: Connection): void {
    const { random, sites } = this.#world;
    const whim = random.integer(4);
    if (whim === 0) {
      sites.count("watch.leave");
      const { member, stream } = connection;
      member.later(0, () => member.visit(() => stream.close()));
      this.#lose();
    } else if (whim === 1) this.#replaceOne(connection);
    else this.#do(connection, () => connection.stream.requestProgress());
  }

  /** One watcher goes, another comes. */
  #replaceOne(connection: Connection): void {
    const [first] = connection.views;
    if (first === undefined) return;
    const [id, view] = first;
    this.#world.sites.count("watch.cancel");
    connection.views.delete(id);
    this.#views.splice(this.#views.indexOf(view), 1);
    this.#do(connection, (service) => {
      check(connection.stream.cancel(id), name, () => `a watcher that is there has no id ${id}`);
      this.#watch(connection, service);
    });
  }

  /** In the member's thread, if the stream is still there then. */
  #do(connection: Connection, act: (service: MemberService) => void): void {
    const { member } = connection;
    member.later(0, () => {
      if (this.#connection === connection) member.visit(act);
    });
  }

  #hear(connection: Connection, word: Exclude<Word, { kind: "stopped" }>): void {
    if (word.kind === "created") {
      connection.views.set(word.id, word.view);
      return;
    }
    if (word.kind === "progress" && word.id === undefined) {
      for (const view of connection.views.values()) view.onProgress(word.revision);
      return;
    }
    // What was on its way when the watcher was given up.
    const view = word.id === undefined ? undefined : connection.views.get(word.id);
    if (view === undefined) return;
    const { sites } = this.#world;
    switch (word.kind) {
      case "events":
        view.onEvents(decodeEvents(word.message), word.message);
        break;
      case "progress":
        sites.count("watch.progress");
        view.onProgress(word.revision);
        break;
      case "compacted":
        sites.count("watch.compacted");
        view.onCompacted(word.floor);
        connection.views.delete(word.id);
        this.#do(connection, () => {
          connection.stream.cancel(word.id);
          this.#resume(connection, view);
        });
        break;
    }
  }
}

function decodeEvents({ events }: EventMessage): readonly WatchEventMessage[] {
  const answer = decodeWatchResponse(Buffer.concat(events));
  if (answer instanceof Malformed) throw new Violation(name, `no answer: ${answer.why}`);
  return answer.events;
}
