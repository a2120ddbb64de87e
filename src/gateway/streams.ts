// Stream calls over HTTP: the body is a row of JSON messages, the answer one line for each message of
// the method; or server-sent events, where the client asks for them.
import { EtcdError, errAnswerTooLarge, errMessageTooLarge, StatusCode } from "../base/errors.ts";
import type { StreamCall, StreamHandler, StreamMethod } from "../grpc/call.ts";
import type { Deadline, Expiring } from "../grpc/deadlines.ts";
import { answerFields, type Fields, GatewayMetadata } from "./exchange.ts";
import { scanValue, unexpectedEnd } from "./jsonSyntax.ts";
import { jsonRefusal } from "./jsonTokens.ts";
import { jsonMessageBytesMax, writeJson } from "./jsonWriter.ts";
import { errDeadlineExceeded, refuse, streamRefusal } from "./refusals.ts";
import type { CallParts } from "./unary.ts";

const eventFields: Fields = [
  ["Content-Type", "text/event-stream"],
  ["Cache-Control", "no-store"],
];
const noBody = Buffer.alloc(0);

/** Takes the body of the request as it comes. */
export class JsonStreamCall extends GatewayMetadata implements StreamCall, Expiring {
  readonly #parts: CallParts;
  readonly #asEvents: boolean;
  #handler: StreamHandler | undefined;
  #deadline: Deadline | undefined;
  /** Of the body: what is no whole message yet. */
  #rest: Buffer = noBody;
  #begun = false;
  #messageCount = 0;
  #over = false;
  #cancelled = false;

  constructor(parts: CallParts) {
    super(parts.request);
    this.#parts = parts;
    this.#asEvents = (parts.request.header("accept") ?? "").includes("text/event-stream");
    const { timeoutMs, environment } = parts;
    if (timeoutMs !== undefined) this.#deadline = environment.deadlines.add(timeoutMs, this);
  }

  start(method: StreamMethod): void {
    this.#parts.reply.listen({
      onDrain: () => this.#guard(() => this.#handler?.onDrain()),
      onClose: () => this.#cancel(),
    });
    this.#guard(() => {
      this.#handler = method(this);
    });
  }

  get cancelled(): boolean {
    return this.#cancelled;
  }

  get backlogBytes(): number {
    return this.#parts.reply.backlogBytes;
  }

  write(message: Uint8Array): boolean {
    if (this.#over) return false;
    if (message.length > jsonMessageBytesMax) {
      this.#breakOff(errAnswerTooLarge(message.length, jsonMessageBytesMax));
      return false;
    }
    const { reply, messages, utf8, environment } = this.#parts;
    const text = writeJson(message, messages.response, { utf8 });
    this.#begin();
    const line = `{"result":${text}}\n`;
    this.#parts.stats.sent++;
    environment.stats.sentBytes += message.length;
    const taken = reply.write(this.#asEvents ? `data: ${line}\n` : line);
    if (reply.backlogBytes > environment.limits.streamBacklogBytesEnd) {
      reply.abort();
      this.#cancel();
      return false;
    }
    return taken;
  }

  end(): void {
    if (!this.#finish()) return;
    this.#parts.stats.finish(StatusCode.ok);
    this.#begin();
    this.#parts.reply.end();
  }

  fail(error: EtcdError): void {
    if (!this.#finish()) return;
    const { reply, stats } = this.#parts;
    stats.finish(error.code);
    if (!this.#begun) {
      refuse(reply, error);
      return;
    }
    const line = streamRefusal(error);
    reply.write(this.#asEvents ? `event: error\ndata: ${line}\n` : line);
    reply.end();
  }

  onDeadline(): void {
    this.#deadline = undefined;
    this.#breakOff(errDeadlineExceeded);
  }

  /** Bytes of the body; `ended`: the last ones. */
  onBody(chunk: Buffer, ended: boolean): void {
    if (this.#over) return;
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (!this.#over) {
      const scanned = scanValue(this.#rest, at);
      if (scanned.kind === "fault") {
        this.#breakOff(jsonRefusal(scanned.why));
        return;
      }
      // A number may go on in the next chunk, but no message is a number.
      if (scanned.kind !== "value") break;
      this.#message(at);
      at = scanned.end;
    }
    if (this.#over) return;
    this.#rest = Buffer.from(this.#rest.subarray(at));
    if (ended) this.#onEnd();
    else this.#checkSize();
  }

  #onEnd(): void {
    if (scanValue(this.#rest, 0).kind === "cut") this.#breakOff(jsonRefusal(unexpectedEnd));
    else {
      // A method with a single request takes nothing for an empty message.
      const { clientStreaming } = this.#parts.messages;
      this.#guard(() => {
        if (!clientStreaming && this.#messageCount === 0) this.#handler?.onMessage(noBody);
        if (!this.#over) this.#handler?.onHalfClose();
      });
    }
  }

  #checkSize(): void {
    const { bodyBytesMax, messageBytesMax } = this.#parts.environment.limits;
    if (this.#rest.length <= bodyBytesMax) return;
    this.#breakOff(errMessageTooLarge(this.#rest.length, messageBytesMax));
  }

  #message(at: number): void {
    const { environment, messages, utf8 } = this.#parts;
    // Without a stream of requests, the first is the only one.
    if (++this.#messageCount > 1 && !messages.clientStreaming) return;
    this.#guard(() => {
      const read = environment.reader(utf8).read(this.#rest, messages.request, at);
      const bytes = read?.bytes ?? noBody;
      const { messageBytesMax } = environment.limits;
      if (bytes.length > messageBytesMax) throw errMessageTooLarge(bytes.length, messageBytesMax);
      this.#parts.stats.received++;
      environment.stats.receivedBytes += bytes.length;
      this.#handler?.onMessage(bytes);
    });
  }

  #begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    this.#parts.reply.begin(200, this.#asEvents ? eventFields : answerFields);
  }

  // Ends the call for the method, which hears of it.
  #breakOff(error: EtcdError): void {
    if (this.#over) return;
    this.fail(error);
    this.#cancelled = true;
    this.#handler?.onCancel();
  }

  #cancel(): void {
    if (!this.#finish()) return;
    this.#parts.stats.finish(StatusCode.canceled);
    this.#cancelled = true;
    this.#guard(() => this.#handler?.onCancel());
  }

  #guard(run: () => void): void {
    try {
      run();
    } catch (thrown) {
      if (thrown instanceof EtcdError) this.#breakOff(thrown);
      else {
        this.#parts.reply.abort();
        this.#finish();
        this.#parts.environment.onMistake(thrown);
      }
    }
  }

  #finish(): boolean {
    if (this.#over) return false;
    this.#over = true;
    if (this.#deadline !== undefined) this.#parts.environment.deadlines.remove(this.#deadline);
    this.#deadline = undefined;
    return true;
  }
}
