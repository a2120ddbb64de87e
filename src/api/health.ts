// grpc.health.v1: one service, named "", serving as long as it can answer at all.
import { errMalformed, errUnknownService } from "../base/errors.ts";
import type { StreamCall, StreamMethod, UnaryMethod } from "../grpc/call.ts";
import {
  decodeHealthCheckRequest,
  encodeHealthCheckResponse,
  encodeHealthListResponse,
  ServingStatus,
} from "../proto/healthCodec.ts";
import { Malformed } from "../proto/reader.ts";
import type { Writer } from "../proto/writer.ts";

const wholeServer = "";

export class HealthService {
  readonly #writer: Writer;

  constructor(writer: Writer) {
    this.#writer = writer;
  }

  readonly check: UnaryMethod = (call, message) => {
    const request = decodeHealthCheckRequest(message);
    if (request instanceof Malformed) call.fail(errMalformed(request.why));
    else if (request.service !== wholeServer) call.fail(errUnknownService);
    else call.respond(encodeHealthCheckResponse(this.#writer, ServingStatus.serving));
  };

  readonly list: UnaryMethod = (call) => {
    call.respond(encodeHealthListResponse(this.#writer, wholeServer, ServingStatus.serving));
  };

  /** The status now, and then nothing: it does not change while the member lives. */
  readonly watch: StreamMethod = (call) => {
    let answered = false;
    return {
      onMessage: (message) => {
        // One request; the server of grpc-go looks at no other.
        if (!answered) this.#watch(call, message);
        answered = true;
      },
      onHalfClose: () => {},
      onDrain: () => {},
      onCancel: () => {},
    };
  };

  #watch(call: StreamCall, message: Uint8Array): void {
    const request = decodeHealthCheckRequest(message);
    if (request instanceof Malformed) {
      call.fail(errMalformed(request.why));
      return;
    }
    const known = request.service === wholeServer;
    const status = known ? ServingStatus.serving : ServingStatus.serviceUnknown;
    call.write(encodeHealthCheckResponse(this.#writer, status));
  }
}
