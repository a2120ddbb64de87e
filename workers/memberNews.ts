// Changes of membership in the log, each once, with etcd's words.
import type { MemberId } from "../src/base/brand.ts";
import type { Log } from "../src/base/ports.ts";
import type { LinkInfo } from "../src/member/roster.ts";

export class MemberNews {
  readonly #log: Log;
  readonly #self: bigint;
  #known: ReadonlyMap<MemberId, LinkInfo> | undefined;

  constructor(log: Log, self: bigint) {
    this.#log = log;
    this.#self = self;
  }

  /** @param members all of them, as they are now; the first list is no news. */
  note(members: readonly LinkInfo[]): void {
    const before = this.#known;
    this.#known = new Map(members.map((member) => [member.id, member]));
    if (before === undefined) return;
    const local = { "local-member-id": this.#self };
    for (const [id, { peerUrls, isLearner }] of this.#known) {
      const known = before.get(id);
      const urls = peerUrls.join();
      if (known === undefined) {
        const added = { "added-peer-id": id, "added-peer-peer-urls": urls };
        this.#log.info("added member", { ...local, ...added, "added-peer-is-learner": isLearner });
      } else if (known.isLearner && !isLearner) {
        this.#log.info("promoted member", { ...local, "promoted-member-id": id });
      } else if (known.peerUrls.join() !== urls) {
        const updated = { "updated-remote-peer-id": id, "updated-remote-peer-urls": urls };
        this.#log.info("updated member", { ...local, ...updated });
      }
    }
    for (const id of before.keys()) {
      if (this.#known.has(id)) continue;
      this.#log.warn("removed member", { ...local, "removed-remote-peer-id": id });
    }
  }
}
