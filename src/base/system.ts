// The real clock, randomness and log. Imported by main, workers, cluster and bench; never by a pure room.
import { randomInt } from "node:crypto";
import { setFlagsFromString } from "node:v8";
import { type Logger, pino } from "pino";
import type { Clock, Log, LogFields, Random } from "./ports.ts";

export const systemClock: Clock = { nowMs: () => performance.now() };

export const systemRandom: Random = { integer: (below) => randomInt(below) };

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

/** Lines of JSON on stderr with etcd's keys: level, ts, caller, msg. Written at once, also in workers. */
export function systemLog(options: { level: LogLevel; caller: string }): Log {
  const logger = pino(
    {
      level: options.level,
      base: { caller: options.caller },
      messageKey: "msg",
      timestamp: () => `,"ts":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ fd: 2, sync: true }),
  );
  return {
    debug: (message, fields) => write(logger, "debug", message, fields),
    info: (message, fields) => write(logger, "info", message, fields),
    warn: (message, fields) => write(logger, "warn", message, fields),
    error: (message, fields) => write(logger, "error", message, fields),
  };
}

type Level = "debug" | "info" | "warn" | "error";

function write(logger: Logger, level: Level, message: string, fields: LogFields = {}): void {
  const plain: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(fields)) {
    // 64-bit ids are printed as etcd prints them: lower-case hex.
    plain[name] = typeof value === "bigint" ? value.toString(16) : value;
  }
  logger[level](plain, message);
}

/**
 * Gives the threads that start from now on room before their first full collections. A process that is
 * nothing but a server calls this; a program that embeds a cluster keeps its own settings.
 * Measured at 100 callers: full collections fall from one a second and thread to a fifth of that, CPU
 * per put by about a tenth.
 */
export function tuneHeapOfThreads(): void {
  setFlagsFromString("--initial-old-space-size=256");
  setFlagsFromString("--min-semi-space-size=16");
}
