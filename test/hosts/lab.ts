// Several hosts on this machine: a network namespace each, joined by veth pairs to one bridge, on which the
// tester sits as well. Links can be cut in one direction, lose packets, and, where the kernel has netem,
// take time. Cuts and losses are filters at the host's end of its pair, so any kernel with bpf has them.
//
//   q<pid>n1 [eth0 10.A.B.1] ---- q<pid>v1 \
//   q<pid>n2 [eth0 10.A.B.2] ---- q<pid>v2 -- q<pid>br [10.A.B.254], the test
import { execFile, execFileSync } from "node:child_process";
import { promisify } from "node:util";
import type { Site } from "./site.ts";

const run = promisify(execFile);
const clientPort = 2379;
const peerPort = 2380;

/** Why there can be no hosts here; false: there can. */
export function noLabReason(): string | false {
  if (process.platform !== "linux") return "network namespaces are Linux's";
  if (process.getuid?.() !== 0) return "only root may make network namespaces";
  const name = `q${process.pid}try`;
  try {
    execFileSync("ip", ["netns", "add", name], { stdio: "pipe" });
    execFileSync("ip", ["netns", "del", name], { stdio: "pipe" });
    execFileSync("tc", ["-V"], { stdio: "pipe" });
    return false;
  } catch (error) {
    return `network namespaces cannot be made here: ${String(error).split("\n")[0]}`;
  }
}

/** Programs for the socket filter machine; see `man bpf` for the numbers. */
const op = { load: 32, isEqual: 21, isAtLeast: 53, end: 6 } as const;
/** Where the destination lies in an IPv4 frame. */
const destinationOffset = 30;
/** The machine's own random number. */
const randomOffset = 0xfffff038;
const drop = 2;
const goOn = 0xffffffff;

interface Harm {
  /** Hosts that what this one says does not reach. */
  readonly mutedTo: Set<number>;
  lossPercent: number;
}

export class Lab implements Site {
  readonly count: number;
  readonly #prefix = `q${process.pid}`;
  readonly #subnet: string;
  readonly #harm = new Map<number, Harm>();
  readonly #onExit = () => this.#clear();
  #hasNetem: boolean | undefined;

  private constructor(count: number) {
    this.count = count;
    this.#subnet = `10.${100 + (process.pid % 100)}.${Math.floor(process.pid / 100) % 250}`;
  }

  /** @param count hosts, numbered from 1. */
  static async start(count: number): Promise<Lab> {
    sweep();
    const lab = new Lab(count);
    process.once("exit", lab.#onExit);
    try {
      await lab.#lay();
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
    return lab;
  }

  address(host: number): string {
    return `${this.#subnet}.${host}`;
  }

  endpoint(host: number): string {
    return `${this.address(host)}:${clientPort}`;
  }

  peerListenUrl(host: number): string {
    return this.peerUrl(host);
  }

  peerUrl(host: number): string {
    return `http://${this.address(host)}:${peerPort}`;
  }

  on(host: number, args: readonly string[]): readonly string[] {
    return ["ip", "netns", "exec", this.#namespace(host), ...args];
  }

  async cut(from: number, to: number): Promise<void> {
    this.#of(from).mutedTo.add(to);
    await this.#apply(from);
  }

  async lose(from: number, percent: number): Promise<void> {
    this.#of(from).lossPercent = percent;
    await this.#apply(from);
  }

  async delay(host: number, ms: number): Promise<boolean> {
    if (this.#hasNetem === false) return false;
    const args = ["qdisc", "replace", "dev", this.#veth(host), "root", "netem", "delay", `${ms}ms`];
    this.#hasNetem = await run("tc", args).then(
      () => true,
      () => false,
    );
    return this.#hasNetem;
  }

  async mend(): Promise<void> {
    for (const [host, harm] of this.#harm) {
      harm.mutedTo.clear();
      harm.lossPercent = 0;
      await this.#apply(host);
      if (this.#hasNetem === true) {
        await run("tc", ["qdisc", "del", "dev", this.#veth(host), "root"]).catch(() => {});
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off("exit", this.#onExit);
    this.#clear();
  }

  #namespace(host: number): string {
    return `${this.#prefix}n${host}`;
  }

  #veth(host: number): string {
    return `${this.#prefix}v${host}`;
  }

  #of(host: number): Harm {
    const known = this.#harm.get(host);
    if (known !== undefined) return known;
    throw new RangeError(`there is no host ${host}`);
  }

  async #lay(): Promise<void> {
    const bridge = `${this.#prefix}br`;
    await batch([
      `link add ${bridge} type bridge`,
      `addr add ${this.#subnet}.254/24 dev ${bridge}`,
      `link set ${bridge} up`,
    ]);
    for (let host = 1; host <= this.count; host++) {
      const [namespace, veth] = [this.#namespace(host), this.#veth(host)];
      await batch([
        `netns add ${namespace}`,
        `link add ${veth} type veth peer name eth0 netns ${namespace}`,
        `link set ${veth} master ${bridge} up`,
      ]);
      await batch(
        [
          `addr add ${this.address(host)}/24 dev eth0`,
          "link set lo up",
          // The bridge answers at once; nobody has to wait for duplicates to show.
          "link set eth0 up",
        ],
        ["-n", namespace],
      );
      await run("tc", ["qdisc", "add", "dev", veth, "clsact"]);
      this.#harm.set(host, { mutedTo: new Set(), lossPercent: 0 });
    }
  }

  async #apply(host: number): Promise<void> {
    const at = ["dev", this.#veth(host), "ingress"];
    const code = filter(this.#of(host), (to) => this.address(to));
    if (code === undefined) {
      await run("tc", ["filter", "del", ...at]);
      return;
    }
    const rest = ["pref", "1", "handle", "1", "bpf", "da", "bytecode", code];
    await run("tc", ["filter", "replace", ...at, ...rest]);
  }

  #clear(): void {
    for (const name of namespaces()) {
      if (name.startsWith(`${this.#prefix}n`)) quietly("ip", ["netns", "del", name]);
    }
    for (let host = 1; host <= this.count; host++) quietly("ip", ["link", "del", this.#veth(host)]);
    quietly("ip", ["link", "del", `${this.#prefix}br`]);
  }
}

/** @returns undefined when there is nothing to drop. */
function filter(
  { mutedTo, lossPercent }: Harm,
  addressOf: (host: number) => string,
): string | undefined {
  const lines: string[] = [];
  for (const to of mutedTo) {
    lines.push(`${op.load} 0 0 ${destinationOffset}`);
    lines.push(`${op.isEqual} 0 1 ${numberOf(addressOf(to))}`, `${op.end} 0 0 ${drop}`);
  }
  if (lossPercent > 0) {
    const from = Math.round(2 ** 32 * (1 - lossPercent / 100));
    lines.push(`${op.load} 0 0 ${randomOffset}`);
    lines.push(`${op.isAtLeast} 0 1 ${Math.min(from, goOn)}`, `${op.end} 0 0 ${drop}`);
  }
  if (lines.length === 0) return undefined;
  lines.push(`${op.end} 0 0 ${goOn}`);
  return `${lines.length},${lines.join(",")},`;
}

const numberOf = (address: string): number =>
  address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);

/** What a test left behind that was killed. */
function sweep(): void {
  const owners = new Set(
    namespaces().flatMap((name) => /^q(\d+)n\d+$/.exec(name)?.slice(1, 2) ?? []),
  );
  for (const pid of owners) {
    if (isAlive(Number(pid))) continue;
    for (const name of namespaces()) {
      if (name.startsWith(`q${pid}n`)) quietly("ip", ["netns", "del", name]);
    }
    quietly("ip", ["link", "del", `q${pid}br`]);
  }
}

function namespaces(): readonly string[] {
  const text = execFileSync("ip", ["netns", "list"], { encoding: "utf8" });
  return text.split("\n").flatMap((line) => line.split(" ").slice(0, 1));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function quietly(command: string, args: readonly string[]): void {
  try {
    execFileSync(command, args, { stdio: "ignore" });
  } catch {
    // It was not there, or is gone with its other end.
  }
}

async function batch(lines: readonly string[], options: readonly string[] = []): Promise<void> {
  const child = run("ip", [...options, "-batch", "-"]);
  child.child.stdin?.end(`${lines.join("\n")}\n`);
  await child;
}
