// The real clock, randomness and log. Imported by main, workers, cluster and bench; never by a pure room.
import { randomInt } from "node:crypto";
import { writeSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { MessageChannel } from "node:worker_threads";
import { type Logger, pino } from "pino";
import type { Clock, Log, LogFields, Random } from "./ports.ts";

export const systemClock: Clock = { nowMs: () => performance.now() };

export const systemRandom: Random = { integer: (below) => randomInt(below) };

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

export type LogFormat = "json" | "text";

/**
 * Lines on stderr, written at once, also in workers: JSON with etcd's keys (level, ts, caller, msg), or
 * text for people.
 */
export function systemLog(options: {
  level: LogLevel;
  caller: string;
  format?: LogFormat | undefined;
}): Log {
  return options.format === "text" ? textLog(options) : jsonLog(options);
}

function jsonLog(options: { level: LogLevel; caller: string }): Log {
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

const levels = ["debug", "info", "warn", "error", "silent"] as const;

/** `12:34:56.789 WARN  m1  slow fdatasync  took=1200ms` */
export function textLine(parts: {
  readonly time: Date;
  readonly level: Level;
  readonly caller: string;
  readonly message: string;
  readonly fields?: LogFields | undefined;
}): string {
  const { time, level, caller, message, fields = {} } = parts;
  const facts = Object.entries(fields).map(([name, value]) => {
    const text = typeof value === "bigint" ? value.toString(16) : `${value}`;
    return `  ${name}=${/[\s"=]/.test(text) ? JSON.stringify(text) : text}`;
  });
  const clock = time.toISOString().slice(11, 23);
  return `${clock} ${level.toUpperCase().padEnd(5)} ${caller}  ${message}${facts.join("")}\n`;
}

function textLog({ level: least, caller }: { level: LogLevel; caller: string }): Log {
  const print = (level: Level) => (message: string, fields?: LogFields) => {
    if (levels.indexOf(level) < levels.indexOf(least)) return;
    writeSync(2, textLine({ time: new Date(), level, caller, message, fields }));
  };
  return { debug: print("debug"), info: print("info"), warn: print("warn"), error: print("error") };
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
  keepFreedMemory();
}

/**
 * Buffers below this are taken from memory that was freed before, and twice as much of that stays. glibc
 * learns it from a buffer of that size that is freed; by itself it gives chunks of a snapshot back to the
 * kernel each time, whose clearing of pages costs more than all copies (bench catch-up).
 */
const keptBytes = 8 << 20;

function keepFreedMemory(): void {
  const { port1, port2 } = new MessageChannel();
  const bytes = new ArrayBuffer(keptBytes);
  // What is under way to a port that closes is freed at once, and not when somebody collects it.
  port1.postMessage(bytes, [bytes]);
  port1.close();
  port2.close();
}
