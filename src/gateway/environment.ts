// What all calls of a gateway share.
import type { DeadlineWheel } from "../grpc/deadlines.ts";
import type { GrpcStats } from "../grpc/stats.ts";
import type { GatewayLimits } from "./exchange.ts";
import { JsonReader } from "./jsonReader.ts";

export class CallEnvironment {
  readonly limits: GatewayLimits;
  readonly deadlines: DeadlineWheel;
  /** Calls over JSON count as those over gRPC. */
  readonly stats: GrpcStats;
  /** A method threw what is no refusal: never swallowed. May throw. */
  readonly onMistake: (error: unknown) => void;
  readonly #base64Reader = new JsonReader({ utf8: false });
  readonly #utf8Reader = new JsonReader({ utf8: true });

  constructor(parts: {
    readonly limits: GatewayLimits;
    readonly deadlines: DeadlineWheel;
    readonly stats: GrpcStats;
    readonly onMistake: (error: unknown) => void;
  }) {
    this.limits = parts.limits;
    this.deadlines = parts.deadlines;
    this.stats = parts.stats;
    this.onMistake = parts.onMistake;
  }

  /** What it reads is valid until its next use. */
  reader(utf8: boolean): JsonReader {
    return utf8 ? this.#utf8Reader : this.#base64Reader;
  }
}
