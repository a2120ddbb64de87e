// The only doors of a pure room to the outside world. Simulator and server pass their own.

/** Time that only moves forward, in milliseconds; its zero means nothing. */
export interface Clock {
  nowMs(): number;
}

/** Uniform numbers; seeded in tests and in the simulator. */
export interface Random {
  /** @returns an integer in [0, `below`); `below` is at most 2^32. */
  integer(below: number): number;
}

/** Diagnostics. `fields` are plain values; never secrets, never client data. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}
export type LogFields = Readonly<Record<string, string | number | boolean | bigint>>;

/** Says nothing. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };
