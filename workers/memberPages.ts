// What a member tells about itself over HTTP, and whatever counts for it: disk, peers, calls, health.
import { etcdVersion } from "../src/api/maintenance.ts";
import type { MemberId } from "../src/base/brand.ts";
import type { Log } from "../src/base/ports.ts";
import { systemClock } from "../src/base/system.ts";
import { HealthTally, healthPages } from "../src/gateway/health.ts";
import { textPage } from "../src/gateway/pages.ts";
import type { Page } from "../src/gateway/server.ts";
import { GrpcStats } from "../src/grpc/stats.ts";
import type { Member } from "../src/member/member.ts";
import { CountedLink } from "../src/metrics/countedLink.ts";
import { MetricsPage } from "../src/metrics/page.ts";
import { metricsContentType } from "../src/metrics/text.ts";
import { DiskTally, slowSyncMs, timedDisk } from "../src/metrics/timedDisk.ts";
import type { LogDisk } from "../src/storage/logDisk.ts";
import type { PeerLink } from "../src/transport/link.ts";

export class MemberPages {
  readonly stats: GrpcStats;
  readonly #log: Log;
  readonly #disk = new DiskTally();
  readonly #health = new HealthTally();
  #link: CountedLink | undefined;
  #isLeader = false;

  constructor(log: Log, options: { readonly isTimed: boolean }) {
    this.#log = log;
    this.stats = new GrpcStats(options);
  }

  watchDisk(disk: LogDisk): LogDisk {
    return timedDisk(disk, {
      tally: this.#disk,
      clock: systemClock,
      onSlowSync: (tookMs) =>
        this.#log.warn("slow fdatasync", {
          took: `${Math.round(tookMs)}ms`,
          "expected-duration": `${slowSyncMs / 1000}s`,
        }),
    });
  }

  watchLink(link: PeerLink): PeerLink {
    this.#link = new CountedLink(link, { clock: systemClock, isLeader: () => this.#isLeader });
    return this.#link;
  }

  /** To be told of each change. */
  onRole(isLeader: boolean): void {
    this.#isLeader = isLeader;
  }

  /** All pages, by path. */
  open(member: Member, id: MemberId): ReadonlyMap<string, Page> {
    const link = this.#link;
    const pages = new Map(healthPages({ member, tally: this.#health }));
    if (link === undefined) return pages;
    const metrics = new MetricsPage({
      numbers: () => member.numbers(),
      grpc: this.stats,
      disk: this.#disk,
      link,
      health: this.#health,
      id,
      etcdVersion,
    });
    return pages.set(
      "/metrics",
      textPage(metricsContentType, () => metrics.render()),
    );
  }
}
