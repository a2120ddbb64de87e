// Clients: each has one request at a time, at any member, and tries the next member when that fails.
import type { MemberId } from "../../src/base/brand.ts";
import type { EtcdError } from "../../src/base/errors.ts";
import { Call, type CallParts } from "./call.ts";
import { Intents } from "./intents.ts";
import type { Judges } from "./judges.ts";
import { type Action, describeAction, type Operation, type OperationState } from "./operation.ts";
import { Requests } from "./requests.ts";
import type { SimMember, World } from "./simMember.ts";

/** Before a client tries another member. */
const retryUs = 20_000;

/** Once in so many requests a client goes elsewhere, lest all of them settle with one lucky member. */
const wanderOdds = 4;

/** Number of the client that asks on behalf of nobody; it has all the patience there is. */
const prober = 0;

interface Client {
  readonly id: number;
  /** Position of the member that it talks to. */
  at: number;
}

export class Workload {
  readonly operations: Operation[] = [];
  readonly #world: World;
  readonly #judges: Judges;
  readonly #members: readonly SimMember[];
  readonly #intents: Intents;
  readonly #callParts: CallParts;
  /** Handed over and not answered, with what happens then. */
  readonly #open = new Map<Call, (state: OperationState) => void>();
  #running = true;

  constructor(world: World, judges: Judges, members: readonly SimMember[]) {
    this.#world = world;
    this.#judges = judges;
    this.#members = members;
    this.#intents = new Intents(world.random, world.odds.load, judges.history);
    this.#callParts = {
      judges,
      requests: new Requests(),
      compacted: () => this.#intents.compacted,
      onEnd: (call, state, error) => this.#onEnd(call, state, error),
    };
  }

  get openCount(): number {
    return this.#open.size;
  }

  get keys(): readonly string[] {
    return this.#intents.keys;
  }

  begin(): void {
    for (let id = 1; id <= this.#world.odds.load.clients; id++) {
      this.#think({ id, at: this.#world.random.integer(this.#members.length) });
    }
  }

  /** No new requests; those under way go on. */
  end(): void {
    this.#running = false;
  }

  /** What the member had not answered is not answered any more. */
  onCrash(id: MemberId): void {
    for (const [call] of [...this.#open]) if (call.at.id === id) this.#settle(call, "unknown");
  }

  /** One put at one member, by nobody in particular. */
  probe(member: SimMember, onEnd: (state: OperationState) => void): void {
    this.#issue({ client: prober, action: this.#intents.put(), member, onEnd });
  }

  #think(client: Client): void {
    const { queue, random, odds } = this.#world;
    if (random.oneIn(wanderOdds)) client.at = random.integer(this.#members.length);
    queue.after(1 + random.integer(odds.load.thinkUsMax), () =>
      this.#act(client, this.#intents.next(client.id)),
    );
  }

  #act(client: Client, action: Action): void {
    const member = this.#members[client.at % this.#members.length];
    if (!this.#running || member === undefined) return;
    const retry = (): void => {
      client.at = (client.at + 1) % this.#members.length;
      this.#world.queue.after(retryUs, () => this.#act(client, this.#intents.again(action)));
    };
    if (!member.isUp) {
      retry();
      return;
    }
    const onEnd = (state: OperationState, op: Operation): void => {
      if (state === "unknown") retry();
      else {
        this.#intents.learn(client.id, op);
        this.#think(client);
      }
    };
    this.#issue({ client: client.id, action, member, onEnd });
  }

  #issue(parts: {
    client: number;
    action: Action;
    member: SimMember;
    onEnd: (state: OperationState, op: Operation) => void;
  }): void {
    const { client, action, member, onEnd } = parts;
    const { queue, trace, random, odds } = this.#world;
    const op: Operation = {
      id: this.operations.length + 1,
      client,
      action,
      callUs: queue.nowUs,
      floor: this.#judges.history.latest,
      state: "open",
      returnUs: Number.POSITIVE_INFINITY,
      revision: 0,
      seen: undefined,
      swapped: false,
    };
    this.operations.push(op);
    this.#judges.writes.onCall(op);
    if (action.kind === "compact") this.#judges.watches.onCompact(action.revision);
    if (trace.on)
      trace.line(`client ${client} asks m${member.id} #${op.id} ${describeAction(action)}`);
    const call = new Call(op, member, this.#callParts);
    this.#open.set(call, (state) => onEnd(state, op));
    member.later(0, () => member.visit((service) => call.begin(service)));
    if (client !== prober && random.oneIn(odds.load.giveUp)) {
      queue.after(random.integer(1_000_000), () => this.#settle(call, "unknown"));
    }
  }

  #onEnd(call: Call, state: OperationState, error: EtcdError | undefined): void {
    this.#settle(call, state, error);
    this.#world.sites.pass(call.at.id, "answer");
  }

  /** First answer, crash or end of patience counts. */
  #settle(call: Call, state: OperationState, error?: EtcdError): void {
    const then = this.#open.get(call);
    if (then === undefined) return;
    this.#open.delete(call);
    const { queue, trace } = this.#world;
    const { op } = call;
    op.state = state;
    if (state === "done") op.returnUs = queue.nowUs;
    if (trace.on) {
      const revision = state === "done" ? ` at ${op.revision}` : "";
      trace.line(
        `client ${op.client} hears of #${op.id}: ${state}${revision}${error ? ` (${error.message})` : ""}`,
      );
    }
    then(state);
  }
}
