// A way to a server that takes time, holds back or lets nothing through: in order, each direction for
// itself. For kernels without netem, and for hosts that are none. What TCP sends again after a loss comes
// late, and so it does here.
import { connect, createServer, type Server, type Socket } from "node:net";

/** A packet that was lost is sent again about so much later. */
const repeatMs = 200;
/** An upgrade request is shorter. */
const headBytesMax = 16_384;

/** One direction, for what comes from now on. */
export class Way {
  delayMs: number;
  /** Of a hundred chunks so many are sent again. */
  lossPercent = 0;
  /** Of the flows that wait for the mending. */
  readonly waiting = new Set<() => void>();
  #isCut = false;

  constructor(delayMs = 0) {
    this.delayMs = delayMs;
  }

  get isCut(): boolean {
    return this.#isCut;
  }

  cut(): void {
    this.#isCut = true;
  }

  mend(): void {
    this.#isCut = false;
    this.lossPercent = 0;
    for (const goOn of this.waiting) goOn();
  }

  /** Until a chunk that comes now may go on. */
  get tripMs(): number {
    return this.delayMs + (100 * Math.random() < this.lossPercent ? repeatMs : 0);
  }
}

export interface Ways {
  /** From who dials to who is dialled. */
  readonly forth: Way;
  readonly back: Way;
}

export interface DelayTarget {
  readonly listenPort: number;
  /** Where the proxy listens; 127.0.0.1 if left out. */
  readonly listenHost?: string;
  readonly port: number;
  /** Where the server listens; 127.0.0.1 if left out. */
  readonly host?: string;
  /** One way. */
  readonly delayMs: number;
  /** Chooses by the head of the request that comes first; one pair of ways for all if left out. */
  readonly waysOf?: (head: string) => Ways;
}

export class DelayProxy implements AsyncDisposable {
  readonly #target: DelayTarget;
  readonly #ways: Ways;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(target: DelayTarget, server: Server) {
    this.#target = target;
    this.#server = server;
    this.#ways = { forth: new Way(target.delayMs), back: new Way(target.delayMs) };
  }

  static async start(target: DelayTarget): Promise<DelayProxy> {
    const server = createServer({ noDelay: true, allowHalfOpen: true });
    const proxy = new DelayProxy(target, server);
    server.on("connection", (near) => proxy.#onConnection(near));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(target.listenPort, target.listenHost ?? "127.0.0.1", resolve);
    });
    return proxy;
  }

  set delayMs(delayMs: number) {
    this.#ways.forth.delayMs = delayMs;
    this.#ways.back.delayMs = delayMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #onConnection(near: Socket): void {
    const { waysOf } = this.#target;
    if (waysOf === undefined) {
      this.#join(near, this.#ways);
      return;
    }
    this.#track(near);
    let head = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk]);
      if (head.indexOf("\r\n\r\n") < 0 && head.length < headBytesMax) return;
      near.off("data", onData);
      near.pause();
      near.unshift(head);
      this.#join(near, waysOf(head.toString("latin1")));
    };
    near.on("data", onData);
  }

  #join(near: Socket, { forth, back }: Ways): void {
    const { port, host = "127.0.0.1" } = this.#target;
    const far = connect({ port, host, noDelay: true, allowHalfOpen: true });
    for (const socket of [near, far]) this.#track(socket);
    const flows = [
      new Flow({ from: near, to: far }, forth),
      new Flow({ from: far, to: near }, back),
    ];
    for (const flow of flows) flow.begin();
  }

  #track(socket: Socket): void {
    if (this.#sockets.has(socket)) return;
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
  }
}

/** What goes one way on one connection. */
class Flow {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #way: Way;
  readonly #queue: { readonly what: Buffer | "end" | "close"; readonly dueMs: number }[] = [];
  readonly #goOn = (): void => this.#schedule();
  #lastDueMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor({ from, to }: { readonly from: Socket; readonly to: Socket }, way: Way) {
    this.#from = from;
    this.#to = to;
    this.#way = way;
  }

  begin(): void {
    this.#way.waiting.add(this.#goOn);
    this.#from.on("data", (chunk) => this.#push(chunk));
    this.#from.on("end", () => this.#push("end"));
    // That somebody is gone is told like anything else, and not over a way that is cut.
    this.#from.on("close", () => this.#push("close"));
    this.#from.resume();
  }

  #push(what: Buffer | "end" | "close"): void {
    this.#lastDueMs = Math.max(this.#lastDueMs, performance.now() + this.#way.tripMs);
    this.#queue.push({ what, dueMs: this.#lastDueMs });
    this.#schedule();
  }

  #schedule(): void {
    const [first] = this.#queue;
    if (first === undefined || this.#timer !== undefined || this.#way.isCut) return;
    this.#timer = setTimeout(() => this.#run(), first.dueMs - performance.now());
  }

  #run(): void {
    this.#timer = undefined;
    if (this.#way.isCut) return;
    const now = performance.now();
    for (let [first] = this.#queue; first && first.dueMs <= now; [first] = this.#queue) {
      this.#queue.shift();
      this.#hand(first.what);
    }
    this.#schedule();
  }

  #hand(what: Buffer | "end" | "close"): void {
    if (what === "end") this.#to.end();
    else if (what !== "close") this.#to.write(what);
    else {
      this.#way.waiting.delete(this.#goOn);
      this.#to.destroySoon();
    }
  }
}
