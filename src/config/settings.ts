// Where a setting of `quorlet serve` comes from: the command line, then ETCD_… variables, then defaults;
// or, when there is a configuration file, from that alone, as in etcd.
import { parse } from "yaml";
import { ConfigError } from "./configError.ts";
import { type EtcdFlag, etcdFlags, flagNamed, nearestFlag } from "./etcdFlags.ts";

export interface SettingSources {
  /** Arguments behind the command. */
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** @throws when there is no such file. */
  readonly readFile: (path: string) => string;
}

/** What was said, and what there is to warn about. */
export class Settings {
  readonly warnings: string[] = [];
  readonly #said = new Map<string, string>();

  /** True when the user said it, by whatever way. */
  isSaid(name: string): boolean {
    return this.#said.has(name);
  }

  text(name: string): string {
    return this.#said.get(name) ?? known(name).fallback;
  }

  bool(name: string): boolean {
    const text = this.text(name).toLowerCase();
    if (["true", "t", "1"].includes(text)) return true;
    if (["false", "f", "0", ""].includes(text)) return false;
    throw invalid(name, this.text(name), "true or false");
  }

  integer(name: string, { min, max }: { readonly min: number; readonly max: number }): number {
    const text = this.text(name);
    const value = Number(text);
    if (!/^[+-]?\d+$/.test(text) || value < min || value > max) {
      throw invalid(name, text, `a whole number from ${min} to ${max}`);
    }
    return value;
  }

  durationMs(name: string): number {
    const text = this.text(name);
    const value = parseDuration(text);
    if (value === undefined) throw invalid(name, text, "a duration such as 500ms, 10s or 1h30m");
    return value;
  }

  /** Comma separated; empty parts are passed over. */
  list(name: string): readonly string[] {
    return this.text(name)
      .split(",")
      .map((part) => part.trim())
      .filter((part) => part !== "");
  }

  say(name: string, text: string): void {
    this.#said.set(name, text);
  }

  /** Flags of etcd without a meaning here, and those that must not be passed over in silence. */
  judge(): void {
    for (const { name, use, fallback } of etcdFlags) {
      const text = this.#said.get(name);
      if (text === undefined || text === fallback) continue;
      if (use === "missing") {
        throw new ConfigError(`--${name} is not built yet: Quorlet would not do what it asks for`);
      }
      if (use === "moot") this.warnings.push(`--${name} has no meaning here and is passed over`);
    }
  }
}

/** @throws {ConfigError} for what is unknown or cannot be read. */
export function gatherSettings({ args, environment, readFile }: SettingSources): Settings {
  const settings = new Settings();
  const line = parseLine(args);
  const path = line.get("config-file") ?? environment.ETCD_CONFIG_FILE;
  if (path !== undefined && path !== "") {
    settings.say("config-file", path);
    readYaml(settings, path, readFile);
    if (line.size > 1) settings.warnings.push("with --config-file all other flags are passed over");
  } else {
    readEnvironment(settings, environment, line);
    for (const [name, text] of line) settings.say(name, text);
  }
  settings.judge();
  return settings;
}

/** `--name=value`, `--name value`, one dash or two; a bool may stand alone. */
function parseLine(args: readonly string[]): ReadonlyMap<string, string> {
  const said = new Map<string, string>();
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    const [, name, value] = /^--?([^-=][^=]*)(?:=([\s\S]*))?$/.exec(arg) ?? [];
    if (name === undefined) throw usage(`'${arg}' is not a valid flag`);
    const flag = flagNamed(name);
    if (flag === undefined) throw unknown(name);
    if (value !== undefined) said.set(flag.name, value);
    else if (flag.kind === "bool") said.set(flag.name, "true");
    else {
      i++;
      const next = args[i];
      if (next === undefined) throw usage(`flag needs an argument: --${name}`);
      said.set(flag.name, next);
    }
  }
  return said;
}

const unknown = (name: string): ConfigError => {
  const near = nearestFlag(name);
  const hint = near === undefined ? "" : `; did you mean --${near}?`;
  return usage(`flag provided but not defined: --${name}${hint}`);
};

const usage = (message: string): ConfigError => new ConfigError(message, { exitCode: 2 });

function readEnvironment(
  settings: Settings,
  environment: SettingSources["environment"],
  line: ReadonlyMap<string, string>,
): void {
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith("ETCD_") || text === undefined) continue;
    const flag = flagNamed(variable.slice("ETCD_".length).toLowerCase().replaceAll("_", "-"));
    if (flag === undefined) settings.warnings.push(`${variable} is no setting of etcd`);
    else if (line.has(flag.name)) {
      settings.warnings.push(`--${flag.name} shadows the variable ${variable}`);
    } else settings.say(flag.name, text);
  }
}

/** Keys that the file of etcd groups. */
const groups: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "client-transport-security": {
    "cert-file": "cert-file",
    "key-file": "key-file",
    "client-cert-auth": "client-cert-auth",
    "trusted-ca-file": "trusted-ca-file",
    "auto-tls": "auto-tls",
    "client-cert-file": "client-cert-file",
    "client-key-file": "client-key-file",
  },
  "peer-transport-security": {
    "cert-file": "peer-cert-file",
    "key-file": "peer-key-file",
    "client-cert-auth": "peer-client-cert-auth",
    "trusted-ca-file": "peer-trusted-ca-file",
    "auto-tls": "peer-auto-tls",
    "client-cert-file": "peer-client-cert-file",
    "client-key-file": "peer-client-key-file",
  },
};

function readYaml(settings: Settings, path: string, readFile: (path: string) => string): void {
  const root = parseYaml(path, readFile);
  if (root === null) return;
  if (!isRecord(root)) throw new ConfigError(`${path}: it must be a map of settings`);
  for (const [key, value] of Object.entries(root)) {
    const group = groups[key];
    if (group === undefined) sayYaml(settings, { path, key, value, flag: flagNamed(key) });
    else if (isRecord(value)) {
      for (const [inner, innerValue] of Object.entries(value)) {
        const flag = flagNamed(group[inner] ?? "");
        sayYaml(settings, { path, key: `${key}.${inner}`, value: innerValue, flag });
      }
    } else throw new ConfigError(`${path}: ${key} must be a map`);
  }
}

function parseYaml(path: string, readFile: (path: string) => string): unknown {
  try {
    return parse(readFile(path), { intAsBigInt: true });
  } catch (error) {
    const why = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
    throw new ConfigError(`${path}: ${why}`, { exitCode: 1 });
  }
}

interface YamlSetting {
  readonly path: string;
  readonly key: string;
  readonly value: unknown;
  readonly flag: EtcdFlag | undefined;
}

function sayYaml(settings: Settings, { path, key, value, flag }: YamlSetting): void {
  if (flag === undefined) {
    const near = nearestFlag(key);
    throw new ConfigError(
      `${path}: ${key} is no setting${near === undefined ? "" : `; did you mean ${near}?`}`,
    );
  }
  if (value === null) return;
  if (flag.kind === "duration" && typeof value === "bigint") {
    settings.say(flag.name, `${value}ns`);
  } else if (Array.isArray(value)) settings.say(flag.name, value.map(String).join(","));
  else if (["string", "bigint", "boolean", "number"].includes(typeof value)) {
    settings.say(flag.name, String(value));
  } else throw new ConfigError(`${path}: ${key} must be one value`);
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Go's durations, in milliseconds; undefined for what is none. */
export function parseDuration(text: string): number | undefined {
  if (text === "0") return 0;
  const part = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/gy;
  let total = 0;
  while (part.lastIndex < text.length) {
    const found = part.exec(text);
    if (found === null) return undefined;
    total += Number(found[1]) * (unitMs[found[2] ?? ""] ?? 0);
  }
  return text === "" ? undefined : total;
}

function known(name: string): EtcdFlag {
  const flag = flagNamed(name);
  if (flag === undefined) throw new RangeError(`${name} is no flag`);
  return flag;
}

const invalid = (name: string, text: string, wanted: string): ConfigError =>
  new ConfigError(`invalid value "${text}" for flag --${name}: it must be ${wanted}`, {
    exitCode: 2,
  });
