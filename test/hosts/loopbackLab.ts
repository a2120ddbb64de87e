// Hosts where network namespaces may not be made: an address of the loopback each, and before each peer
// port a proxy that cuts, loses and delays. It knows the caller by the URL that the handshake names.
//
//   host 1 listens at 127.A.B.1, is called at 127.A.B.101 ---- proxy ---- host 2 calls
import { createServer } from "node:net";
import { DelayProxy, Way, type Ways } from "../support/delayProxy.ts";
import { freePorts } from "../support/memberProcesses.ts";
import type { Site } from "./site.ts";

/** Added to a host's number: where its proxy listens. */
const proxyOffset = 100;

/** Why there can be no hosts here; false: there can. */
export async function noLoopbackReason(): Promise<string | false> {
  const server = createServer();
  const why = await new Promise<string | false>((resolve) => {
    server.once("error", (error) => resolve(`127.0.0.2 is no address here: ${error.message}`));
    server.listen(0, "127.0.0.2", () => resolve(false));
  });
  server.close();
  return why;
}

export class LoopbackLab implements Site {
  readonly count: number;
  readonly #ports: readonly number[];
  readonly #subnet = `127.${100 + (process.pid % 100)}.${Math.floor(process.pid / 100) % 250}`;
  readonly #proxies: DelayProxy[] = [];
  /** By "from to". */
  readonly #ways = new Map<string, Way>();
  /** A caller that does not say who it is; nobody cuts it off. */
  readonly #open: Ways = { forth: new Way(), back: new Way() };

  private constructor(count: number, ports: readonly number[]) {
    this.count = count;
    this.#ports = ports;
    for (const from of this.#hosts) {
      for (const to of this.#hosts) this.#ways.set(`${from} ${to}`, new Way());
    }
  }

  /** @param count hosts, numbered from 1. */
  static async start(count: number): Promise<LoopbackLab> {
    const lab = new LoopbackLab(count, await freePorts(3 * count));
    try {
      for (const host of lab.#hosts) lab.#proxies.push(await lab.#proxy(host));
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
    return lab;
  }

  endpoint(host: number): string {
    return `${this.#subnet}.${host}:${this.#port(host, 0)}`;
  }

  peerListenUrl(host: number): string {
    return `http://${this.#subnet}.${host}:${this.#port(host, 1)}`;
  }

  peerUrl(host: number): string {
    return `http://${this.#subnet}.${host + proxyOffset}:${this.#port(host, 2)}`;
  }

  on(_host: number, args: readonly string[]): readonly string[] {
    return args;
  }

  async cut(from: number, to: number): Promise<void> {
    this.#way(from, to).cut();
  }

  async lose(from: number, percent: number): Promise<void> {
    for (const to of this.#hosts) this.#way(from, to).lossPercent = percent;
  }

  async delay(host: number, ms: number): Promise<boolean> {
    for (const from of this.#hosts) this.#way(from, host).delayMs = ms;
    return true;
  }

  async mend(): Promise<void> {
    for (const way of this.#ways.values()) {
      way.delayMs = 0;
      way.mend();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#proxies.map((proxy) => proxy[Symbol.asyncDispose]()));
  }

  get #hosts(): readonly number[] {
    return Array.from({ length: this.count }, (_, i) => i + 1);
  }

  #port(host: number, kind: 0 | 1 | 2): number {
    return this.#ports[3 * (host - 1) + kind] ?? 0;
  }

  #way(from: number, to: number): Way {
    const way = this.#ways.get(`${from} ${to}`);
    if (way === undefined) throw new RangeError(`there is no host ${from} or ${to}`);
    return way;
  }

  #proxy(host: number): Promise<DelayProxy> {
    return DelayProxy.start({
      ...{ listenHost: `${this.#subnet}.${host + proxyOffset}`, listenPort: this.#port(host, 2) },
      ...{ host: `${this.#subnet}.${host}`, port: this.#port(host, 1), delayMs: 0 },
      waysOf: (head) => this.#waysOf(head, host),
    });
  }

  #waysOf(head: string, to: number): Ways {
    const [, url] = /^x-quorlet-peer-url: (\S+)/im.exec(head) ?? [];
    const from = this.#hosts.find((host) => this.peerUrl(host) === url);
    if (from === undefined) return this.#open;
    return { forth: this.#way(from, to), back: this.#way(to, from) };
  }
}
