// The door for callers in other threads of this process: the methods of gRPC over a MessagePort.
import type { MessagePort } from "node:worker_threads";
import type { MemberId } from "../base/brand.ts";
import {
  type EtcdError,
  errServiceNotServed,
  errTooManyRequests,
  errUnknownMethod,
} from "../base/errors.ts";
import type { Clock } from "../base/ports.ts";
import type { MethodTable, UnaryCall, UnaryMethod } from "../grpc/call.ts";
import { BatchWriter, type CallHead, type CallVisitor, readCalls } from "../transport/callBatch.ts";
import { postBytes } from "../transport/postBytes.ts";

export interface EmbeddedDoorLimits {
  /** Calls of one client that are not answered yet; more are refused at once. */
  readonly callsMax: number;
  /** Different paths one client may use. */
  readonly methodsMax: number;
}

export const defaultEmbeddedDoorLimits: EmbeddedDoorLimits = {
  callsMax: 65_536,
  methodsMax: 256,
};

export interface EmbeddedDoorOptions {
  /** Called when there is something to flush, at least once between two flushes. */
  requestFlush(): void;
  /** A method threw: a mistake of ours. */
  onMistake(error: unknown): void;
  readonly clock?: Clock;
  readonly limits?: EmbeddedDoorLimits;
}

export class EmbeddedDoor {
  readonly #shared: Shared;
  readonly #clients = new Set<EmbeddedClient>();
  #methods: MethodTable | undefined;
  #leader: bigint = 0n;

  constructor(options: EmbeddedDoorOptions) {
    this.#shared = {
      requestFlush: () => options.requestFlush(),
      onMistake: (error) => options.onMistake(error),
      onClosed: (client) => void this.#clients.delete(client),
      clock: options.clock ?? { nowMs: () => performance.now() },
      limits: options.limits ?? defaultEmbeddedDoorLimits,
    };
  }

  /** Takes a client. What it asks before `serve` waits in its port. */
  attach(port: MessagePort): void {
    const client = new EmbeddedClient(port, this.#shared);
    this.#clients.add(client);
    if (this.#methods !== undefined) client.open(this.#methods, this.#leader);
  }

  /** Answers from now on. */
  serve(methods: MethodTable): void {
    this.#methods = methods;
    for (const client of this.#clients) client.open(methods, this.#leader);
  }

  /** Tells all clients whom to ask; 0: nobody knows. */
  tellLeader(leader: MemberId): void {
    this.#leader = leader;
    if (this.#methods === undefined) return;
    for (const client of this.#clients) client.tellLeader(leader);
  }

  /** Sends the answers of this turn: one message for each client that has some. */
  flush(): void {
    for (const client of this.#clients) client.flush();
  }

  close(): void {
    for (const client of [...this.#clients]) client.close();
  }
}

interface Shared {
  requestFlush(): void;
  onMistake(error: unknown): void;
  onClosed(client: EmbeddedClient): void;
  readonly clock: Clock;
  readonly limits: EmbeddedDoorLimits;
}

/** One port and its calls. */
class EmbeddedClient implements CallVisitor {
  readonly #port: MessagePort;
  readonly #shared: Shared;
  readonly #answers = new BatchWriter();
  readonly #calls = new Map<number, EmbeddedCall>();
  /** By the client's number: the method, or why there is none. */
  readonly #methods: (UnaryMethod | EtcdError | undefined)[] = [];
  #table: MethodTable | undefined;
  #nowMs = 0;

  constructor(port: MessagePort, shared: Shared) {
    this.#port = port;
    this.#shared = shared;
    port.on("close", () => this.#onClose());
  }

  open(table: MethodTable, leader: bigint): void {
    this.#table = table;
    // Not before: a port that nobody listens to keeps its messages.
    this.#port.on("message", (message: unknown) => this.#onMessage(message));
    this.tellLeader(leader);
  }

  tellLeader(leader: bigint): void {
    this.#requestFlushOnce();
    this.#answers.leader(leader);
  }

  onDefine(method: number, path: string): void {
    if (method >= this.#shared.limits.methodsMax || this.#table === undefined) this.close();
    else this.#methods[method] = this.#table.unary.get(path) ?? refusalFor(path, this.#table);
  }

  onCall(head: CallHead, message: Uint8Array): void {
    const method = this.#methods[head.method];
    if (method === undefined) this.close();
    else if (typeof method !== "function") this.onFailed(head.id, method);
    else if (this.#calls.size >= this.#shared.limits.callsMax) {
      this.onFailed(head.id, errTooManyRequests);
    } else this.#run(method, head, message);
  }

  onCancel(id: number): void {
    this.#calls.get(id)?.cancel();
    this.#calls.delete(id);
  }

  onAnswered(id: number, message: Uint8Array): void {
    this.#calls.delete(id);
    this.#requestFlushOnce();
    this.#answers.answer(id, message);
  }

  onFailed(id: number, error: EtcdError): void {
    this.#calls.delete(id);
    this.#requestFlushOnce();
    this.#answers.failure(id, error);
  }

  nowMs(): number {
    return this.#shared.clock.nowMs();
  }

  flush(): void {
    if (!this.#answers.isEmpty) postBytes(this.#port, this.#answers.finish());
  }

  close(): void {
    this.#port.close();
    this.#onClose();
  }

  #onMessage(message: unknown): void {
    this.#nowMs = this.nowMs();
    const fine = message instanceof Uint8Array && readCalls(message, this);
    if (!fine) this.close();
  }

  #run(method: UnaryMethod, { id, timeoutMs }: CallHead, message: Uint8Array): void {
    const call = new EmbeddedCall(this, { id, deadlineMs: this.#nowMs + timeoutMs });
    this.#calls.set(id, call);
    try {
      method(call, message);
    } catch (error) {
      this.#shared.onMistake(error);
    }
  }

  #requestFlushOnce(): void {
    if (this.#answers.isEmpty) this.#shared.requestFlush();
  }

  #onClose(): void {
    this.#shared.onClosed(this);
    for (const call of this.#calls.values()) call.cancel();
    this.#calls.clear();
  }
}

class EmbeddedCall implements UnaryCall {
  readonly #client: EmbeddedClient;
  readonly #id: number;
  readonly #deadlineMs: number;
  #ended = false;

  constructor(client: EmbeddedClient, { id, deadlineMs }: { id: number; deadlineMs: number }) {
    this.#client = client;
    this.#id = id;
    this.#deadlineMs = deadlineMs;
  }

  get cancelled(): boolean {
    return this.#ended || this.#client.nowMs() >= this.#deadlineMs;
  }

  /** Embedded callers are part of the program: they bring no token and no other header. */
  metadata(): undefined {
    return undefined;
  }

  respond(message: Uint8Array): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#client.onAnswered(this.#id, message);
  }

  fail(error: EtcdError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#client.onFailed(this.#id, error);
  }

  cancel(): void {
    this.#ended = true;
  }
}

function refusalFor(path: string, table: MethodTable): EtcdError {
  const slash = path.lastIndexOf("/");
  const service = path.slice(1, slash);
  const isServed = [...table.unary.keys()].some((known) => known.startsWith(`/${service}/`));
  return isServed ? errUnknownMethod(service, path.slice(slash + 1)) : errServiceNotServed(service);
}
