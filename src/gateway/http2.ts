// HTTP/2 for the gateway: what comes without gRPC's content type, over the door's own server.
import { type EtcdError, errMessageTooLarge } from "../base/errors.ts";
import { ErrorCode } from "../http2/frames.ts";
import type { RequestHead } from "../http2/requestHead.ts";
import { literalFields } from "../http2/responseBlocks.ts";
import type { Http2Stream, Route, StreamReceiver } from "../http2/stream.ts";
import type { Fields, HttpReply, HttpRequest } from "./exchange.ts";
import { errBodyBacklog, refuse } from "./refusals.ts";
import type { BodyWanted, Gateway } from "./server.ts";

/** @returns undefined for what is none of the gateway's. */
export function gatewayRoute(gateway: Gateway, head: RequestHead): Route | undefined {
  const request = new Http2Request(head);
  if (!gateway.knows(request.path)) return undefined;
  return {
    open(stream, ended) {
      const exchange = new Http2Exchange(gateway, request, stream);
      return exchange.start(ended);
    },
  };
}

const noBytes = Buffer.alloc(0);
const noQuery = new URLSearchParams();
const noBody: BodyWanted = { kind: "none" };

class Http2Request implements HttpRequest {
  readonly #head: RequestHead;
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  // Pages of other sites cannot speak HTTP/2 without TLS, but other programs can.
  readonly isSecure = false;

  constructor(head: RequestHead) {
    const mark = head.path.indexOf("?");
    this.#head = head;
    this.method = head.method;
    this.path = mark < 0 ? head.path : head.path.slice(0, mark);
    this.query = mark < 0 ? noQuery : new URLSearchParams(head.path.slice(mark + 1));
  }

  header(name: string): string | undefined {
    const value = this.#head.get(name);
    return value === undefined && name === "host" ? this.#head.get(":authority") : value;
  }
}

/** One request and its answer on one stream. */
class Http2Exchange implements StreamReceiver, HttpReply {
  readonly #gateway: Gateway;
  readonly #request: HttpRequest;
  readonly #stream: Http2Stream;
  readonly #parts: Buffer[] = [];
  #wanted: BodyWanted = noBody;
  #bytes = 0;
  #isOver = false;
  #isFull = false;
  #events: Parameters<HttpReply["listen"]>[0] | undefined;

  constructor(gateway: Gateway, request: HttpRequest, stream: Http2Stream) {
    this.#gateway = gateway;
    this.#request = request;
    this.#stream = stream;
  }

  /** @returns itself, unless it has answered already. */
  start(ended: boolean): StreamReceiver | undefined {
    this.#wanted = this.#gateway.handle(this.#request, this);
    if (ended) this.#onEnd();
    return this.#isOver && this.#stream.closed ? undefined : this;
  }

  onData(bytes: Buffer, from: number, to: number, ended: boolean): void {
    if (this.#wanted.kind === "parts") {
      // Its parts outlive the call: a copy.
      if (to > from) this.#wanted.onPart(Buffer.from(bytes.subarray(from, to)), false);
    } else if (this.#wanted.kind === "whole") this.#take(bytes.subarray(from, to));
    if (ended) this.#onEnd();
    else if (!this.#stream.closed) this.#stream.expect({ haveBytes: 0, missingBytes: 1 });
  }

  onDrain(): void {
    this.#isFull = false;
    this.#events?.onDrain();
  }

  onAborted(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#events?.onClose();
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get backlogBytes(): number {
    return this.#stream.backlogBytes;
  }

  whole(status: number, fields: Fields, body: string): void {
    if (this.#isOver) return;
    const bytes = Buffer.from(body);
    this.begin(status, [...fields, ["content-length", `${bytes.length}`]]);
    if (bytes.length > 0 && !this.#stream.write(noBytes, bytes)) this.abort();
    else this.end();
  }

  begin(status: number, fields: Fields): void {
    if (this.#isOver) return;
    const all = [...this.#gateway.commonFields(this.#request), ...fields];
    this.#stream.begin(
      literalFields([
        [":status", `${status}`],
        ...all.map(([name, value]) => [name.toLowerCase(), value] as const),
      ]),
    );
  }

  write(part: string): boolean {
    if (this.#isOver) return false;
    if (!this.#stream.write(noBytes, Buffer.from(part))) {
      this.abort();
      this.#events?.onClose();
      return false;
    }
    const { streamBacklogBytesMax } = this.#gateway.limits;
    this.#isFull = this.#stream.backlogBytes > streamBacklogBytesMax;
    if (this.#isFull) this.#stream.notifyBelow(streamBacklogBytesMax / 2);
    return !this.#isFull;
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stream.finish();
  }

  abort(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stream.reset(ErrorCode.internalError);
  }

  listen(events: Parameters<HttpReply["listen"]>[0]): void {
    this.#events = events;
  }

  #take(part: Buffer): void {
    const { bodyBytesMax, messageBytesMax } = this.#gateway.limits;
    if (this.#bytes + part.length > bodyBytesMax) {
      this.#refuseBody(errMessageTooLarge(this.#bytes + part.length, messageBytesMax));
    } else if (!this.#stream.hold(part.length)) this.#refuseBody(errBodyBacklog);
    else {
      this.#bytes += part.length;
      this.#parts.push(Buffer.from(part));
    }
  }

  #refuseBody(error: EtcdError): void {
    this.#wanted = noBody;
    refuse(this, error);
  }

  #onEnd(): void {
    const wanted = this.#wanted;
    this.#wanted = noBody;
    this.#stream.settle();
    if (wanted.kind === "whole") wanted.onBody(Buffer.concat(this.#parts));
    else if (wanted.kind === "parts") wanted.onPart(noBytes, true);
  }
}
