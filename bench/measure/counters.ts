// What servers count themselves, where they offer it: the metrics page of etcd and of our own members.
import { get } from "node:http";

/** Sums over all members; undefined where a server does not count it. */
export interface Counters {
  readonly syncs: number | undefined;
  readonly entries: number | undefined;
  readonly gcSec: number | undefined;
  /** The slowest member's; since somebody last looked at its page. */
  readonly loopDelayP99Ms: number | undefined;
  readonly loopDelayMaxMs: number | undefined;
}

const replyMsMax = 2_000;
const pageBytesMax = 4 << 20;

/** @returns undefined when not a single server has such a page. */
export async function countersOf(endpoints: readonly string[]): Promise<Counters | undefined> {
  const pages = await Promise.all(endpoints.map((endpoint) => metricsPage(endpoint)));
  const known = pages.filter((page) => page !== undefined);
  if (known.length === 0) return undefined;
  const sum = (name: string) => sumOf(known.map((page) => figure(page, name)));
  const loopDelayMs = (quantile: string) => {
    const sample = `quorlet_event_loop_delay_seconds{quantile="${quantile}"}`;
    const delays = known.map((page) => figure(page, sample)).filter((sec) => sec !== undefined);
    return delays.length === 0 ? undefined : Math.max(...delays) * 1000;
  };
  return {
    syncs: sum("etcd_disk_wal_fsync_duration_seconds_count"),
    // Each member counts all entries.
    entries: figure(known[0] ?? "", "etcd_server_proposals_committed_total"),
    gcSec: sum("go_gc_duration_seconds_sum"),
    loopDelayP99Ms: loopDelayMs("0.99"),
    loopDelayMaxMs: loopDelayMs("1"),
  };
}

/** All lines of a metric, whatever their labels; or, with its labels in the name, one. */
export function figure(page: string, name: string): number | undefined {
  let found: number | undefined;
  for (const line of page.split("\n")) {
    if (!line.startsWith(name)) continue;
    const after = line[name.length];
    if (after !== " " && after !== "{") continue;
    found = (found ?? 0) + Number(line.slice(line.lastIndexOf(" ") + 1));
  }
  return found;
}

function sumOf(figures: readonly (number | undefined)[]): number | undefined {
  const known = figures.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : known.reduce((sum, value) => sum + value, 0);
}

function metricsPage(endpoint: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const request = get(`http://${endpoint}/metrics`, { timeout: replyMsMax }, (response) => {
      let page = "";
      response.setEncoding("latin1");
      response.on("data", (text: string) => {
        page += text;
        if (page.length > pageBytesMax) request.destroy();
      });
      response.on("end", () => resolve(response.statusCode === 200 ? page : undefined));
      response.on("error", () => resolve(undefined));
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(undefined));
    request.on("close", () => resolve(undefined));
  });
}
