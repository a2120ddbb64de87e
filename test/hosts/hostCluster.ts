// One `quorlet serve` on each host of a site: started, stopped, killed and stopped short one by one.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fieldsOf, listOf } from "../chaos/call.ts";
import { GrpcSession } from "../chaos/grpcSession.ts";
import type { Reachable } from "../chaos/reachable.ts";
import { Child } from "../support/child.ts";
import { decodeMessage, encodeMessage } from "../support/messages.ts";
import { serverEntry } from "../support/paths.ts";
import type { Site } from "./site.ts";

const startMsMax = 60_000;
const leaveMsMax = 60_000;
const changeMsMax = 60_000;
const callMsMax = 5_000;
const retryMs = 20;

interface Host {
  readonly number: number;
  child: Child | undefined;
  /** Its process stands still. */
  isStopped: boolean;
  /** What its first life was told, and every later one is told again. */
  told: Told;
}

/** What a member is told about its cluster. */
interface Told {
  readonly hosts: readonly number[];
  readonly state: "new" | "existing";
}

export interface HostMember {
  readonly host: number;
  readonly id: bigint;
  readonly isLearner: boolean;
}

export interface HostTiming {
  readonly tickMs: number;
  readonly electionMs: number;
}

export class HostCluster implements Reachable, AsyncDisposable {
  readonly names: readonly string[];
  readonly #site: Site;
  readonly #timing: HostTiming;
  readonly #folder = mkdtempSync(join(tmpdir(), "quorlet-hosts-"));
  readonly #hosts: readonly Host[];
  /** Lives of all processes. */
  starts = 0;

  constructor(site: Site, timing: HostTiming) {
    this.#site = site;
    this.#timing = timing;
    this.#hosts = Array.from({ length: site.count }, (_, i) => {
      return {
        number: i + 1,
        child: undefined,
        isStopped: false,
        told: { hosts: [], state: "new" },
      };
    });
    this.names = this.#hosts.map(({ number }) => `h${number}`);
  }

  /** Where clients are sent, whether the process runs or not; undefined: no member lives there. */
  get endpoints(): readonly (string | undefined)[] {
    return this.#hosts.map(({ number, child }) => child && this.#site.endpoint(number));
  }

  get output(): string {
    return this.#hosts
      .map(({ number, child }) => `--- h${number}: ${child?.ending ?? "running"}\n${child?.output}`)
      .join("\n");
  }

  /** Hosts on which a member lives. */
  get inhabited(): readonly number[] {
    return this.#hosts.filter(({ child }) => child !== undefined).map(({ number }) => number);
  }

  /** The same cluster with nothing but the members that live now, for whoever asks all of them. */
  present(): Reachable {
    const inhabited = this.inhabited;
    return {
      names: inhabited.map((host) => `h${host}`),
      endpoints: inhabited.map((host) => this.#site.endpoint(host)),
      output: this.output,
    };
  }

  /** Begins a new cluster of these hosts; resolves when all know a leader. */
  async begin(hosts: readonly number[]): Promise<void> {
    for (const host of hosts) this.#of(host).told = { hosts, state: "new" };
    await Promise.all(hosts.map((host) => this.restart(host)));
  }

  /** The next life of a member; resolves when it knows a leader. */
  async restart(host: number): Promise<void> {
    const of = this.#of(host);
    this.starts++;
    of.isStopped = false;
    of.child = this.#spawn(of);
    await of.child.line({ pattern: /^ready /, timeoutMs: startMsMax });
  }

  /** Adds a voter with an empty directory; resolves when it knows a leader. */
  async add(host: number): Promise<void> {
    const fields = { peerURLs: [this.#site.peerUrl(host)] };
    await this.change("MemberAdd", encodeMessage("MemberAddRequest", fields));
    rmSync(this.#dataDir(host), { recursive: true, force: true });
    this.#of(host).told = { hosts: [...this.inhabited, host], state: "existing" };
    await this.restart(host);
  }

  /** Removes a member; resolves when its process has left by itself, if it ran. */
  async remove(host: number): Promise<void> {
    const member = (await this.members()).find((one) => one.host === host);
    assert.ok(member, `h${host} is a member`);
    const of = this.#of(host);
    await this.change("MemberRemove", encodeMessage("MemberRemoveRequest", { ID: `${member.id}` }));
    const { child } = of;
    if (child?.running === true) {
      assert.equal(await child.ended({ timeoutMs: leaveMsMax }), "ended with 0");
    }
    of.child = undefined;
  }

  /** SIGTERM, and the next life. */
  async roll(host: number): Promise<void> {
    await this.#child(host).stop();
    await this.restart(host);
  }

  async kill(host: number): Promise<void> {
    this.#of(host).isStopped = false;
    await this.#child(host).kill9();
  }

  /** Its process stands still until `resume`, and its kernel goes on answering for it. */
  pause(host: number): void {
    this.#of(host).isStopped = true;
    process.kill(this.#child(host).pid, "SIGSTOP");
  }

  resume(host: number): void {
    const of = this.#of(host);
    if (of.isStopped) process.kill(this.#child(host).pid, "SIGCONT");
    of.isStopped = false;
  }

  isRunning(host: number): boolean {
    return this.#of(host).child?.running === true;
  }

  /** What its process printed in this life. */
  outputOf(host: number): string {
    return this.#child(host).output;
  }

  /** Who leads, as most of those that answer believe; 0: nobody. */
  async leader(): Promise<number> {
    const said = await Promise.all(this.inhabited.map((host) => this.#leaderAt(host)));
    const members = await this.members();
    const votes = members.map(({ id, host }) => [said.filter((one) => one === id).length, host]);
    const [count = 0, host = 0] = votes.toSorted(([a = 0], [b = 0]) => b - a)[0] ?? [];
    return count > 0 ? host : 0;
  }

  async members(): Promise<readonly HostMember[]> {
    const request = encodeMessage("MemberListRequest", {});
    const answer = decodeMessage("MemberListResponse", await this.change("MemberList", request));
    return listOf(answer.members).map((one) => {
      const { ID, peerURLs, isLearner } = fieldsOf(one);
      const url = `${listOf(peerURLs)[0]}`;
      const host =
        this.#hosts.find(({ number }) => this.#site.peerUrl(number) === url)?.number ?? 0;
      return { host, id: BigInt(`${ID}`), isLearner: isLearner === true };
    });
  }

  /** A call of the cluster's service, at whoever answers, until it is carried out. */
  async change(method: string, request: Uint8Array): Promise<Buffer> {
    const endMs = performance.now() + changeMsMax;
    for (let i = 0; ; i++) {
      const hosts = this.inhabited;
      const host = hosts[i % hosts.length] ?? 0;
      const answer = await this.#call(host, `/etcdserverpb.Cluster/${method}`, request);
      if (answer.kind === "ok") return answer.message;
      const isRefused = answer.kind === "refused";
      // Asked again, because an answer was lost on the way.
      if (isRefused && /Peer URLs already exists|member not found/.test(answer.text)) {
        return Buffer.alloc(0);
      }
      if (performance.now() > endMs) {
        throw new Error(`${method}: ${JSON.stringify(answer)}\n${this.output}`);
      }
      await wait(retryMs);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#hosts.map(({ child }) => child?.kill9()));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #spawn({ number: host, told }: Host): Child {
    const cluster = told.hosts.map((one) => `h${one}=${this.#site.peerUrl(one)}`).join();
    const [command = "", ...args] = this.#site.on(host, [
      ...[process.execPath, serverEntry, "serve", "--name", `h${host}`],
      ...["--data-dir", this.#dataDir(host)],
      ...["--listen-client-urls", `http://${this.#site.endpoint(host)}`],
      ...["--advertise-client-urls", `http://${this.#site.endpoint(host)}`],
      ...["--listen-peer-urls", this.#site.peerListenUrl(host)],
      ...["--initial-advertise-peer-urls", this.#site.peerUrl(host)],
      ...["--initial-cluster", cluster, "--initial-cluster-token", "lab"],
      ...["--initial-cluster-state", told.state, "--log-level", "info"],
      // So that whoever joins is given the state and not the log.
      ...["--snapshot-count", "100", "--experimental-snapshot-catchup-entries", "20"],
      ...["--heartbeat-interval", `${this.#timing.tickMs}`],
      ...["--election-timeout", `${this.#timing.electionMs}`],
    ]);
    return new Child({ command, args });
  }

  async #leaderAt(host: number): Promise<bigint> {
    if (!this.isRunning(host) || this.#of(host).isStopped) return 0n;
    const path = "/etcdserverpb.Maintenance/Status";
    const answer = await this.#call(host, path, encodeMessage("StatusRequest", {}));
    if (answer.kind !== "ok") return 0n;
    return BigInt(`${decodeMessage("StatusResponse", answer.message).leader ?? 0}`);
  }

  async #call(host: number, path: string, message: Uint8Array): ReturnType<GrpcSession["call"]> {
    const session = new GrpcSession(this.#site.endpoint(host));
    try {
      return await session.call(path, message, callMsMax);
    } finally {
      session.close();
    }
  }

  #of(host: number): Host {
    const found = this.#hosts[host - 1];
    assert.ok(found, `there is a host ${host}`);
    return found;
  }

  #child(host: number): Child {
    const { child } = this.#of(host);
    assert.ok(child, `somebody lives on h${host}`);
    return child;
  }

  #dataDir(host: number): string {
    return join(this.#folder, `h${host}`);
  }
}
