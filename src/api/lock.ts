// The Lock service of etcd: a lock is the first place in a line.
import { errMalformed, errMutexExpired } from "../base/errors.ts";
import type { UnaryMethod } from "../grpc/call.ts";
import { encodeCompactionResponse as encodeHeaderOnly } from "../proto/encodeResponses.ts";
import { decodeLockRequest, decodeUnlockRequest, encodeLockResponse } from "../proto/lockCodec.ts";
import { Malformed } from "../proto/reader.ts";
import type { Writer } from "../proto/writer.ts";
import type { Headers } from "./header.ts";
import type { Line } from "./line.ts";
import { letOut } from "./lineCommands.ts";

export class LockService {
  readonly #line: Line;
  readonly #headers: Headers;
  readonly #writer: Writer;

  constructor(line: Line, headers: Headers, writer: Writer) {
    this.#line = line;
    this.#headers = headers;
    this.#writer = writer;
  }

  /** Waits. The header's revision grows from holder to holder, so it fences. */
  readonly lock: UnaryMethod = (call, message) => {
    // A copy, as the name is needed for as long as the call waits.
    const request = decodeLockRequest(Buffer.from(message));
    if (request instanceof Malformed) return call.fail(errMalformed(request.why));
    const { name, lease } = request;
    const spec = { name, lease, value: undefined, errExpired: errMutexExpired };
    this.#line.enter(call, spec, {
      onTurn: ({ key }, revision) =>
        call.respond(encodeLockResponse(this.#writer, this.#headers.at(revision), key)),
      onRefused: (error) => call.fail(error),
    });
  };

  /** Deletes the key, whoever it belongs to, and also when it is gone: as etcd does. */
  readonly unlock: UnaryMethod = (call, message) => {
    const request = decodeUnlockRequest(message);
    if (request instanceof Malformed) return call.fail(errMalformed(request.why));
    this.#line.commands.remove(request.key, {
      onDone: ({ revision }) =>
        call.respond(encodeHeaderOnly(this.#writer, this.#headers.at(revision))),
      onRefused: (error) => call.fail(letOut(error)),
    });
  };
}
