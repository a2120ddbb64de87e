// The peers' side of a member thread: ports to members of this process at any time, sockets to those of
// others, as the member's list says. Until `open` whoever calls is told to try again.
import type { MessagePort } from "node:worker_threads";
import { type MemberId, noMember } from "../src/base/brand.ts";
import type { Log } from "../src/base/ports.ts";
import { SeldomLog } from "../src/base/seldomLog.ts";
import { systemClock, systemRandom } from "../src/base/system.ts";
import { linkUrl } from "../src/cluster/address.ts";
import type { MeshAddress, MeshDoor } from "../src/cluster/protocol.ts";
import { makeCertificate } from "../src/door/ownCertificate.ts";
import type { LinkInfo } from "../src/member/roster.ts";
import type { PeerIdentity, PeerStanding, TurnedAway } from "../src/transport/handshake.ts";
import type { PeerLink } from "../src/transport/link.ts";
import { MixedLink } from "../src/transport/mixed.ts";
import {
  listenForPeers,
  type PeerAcceptor,
  type PeerListener,
} from "../src/transport/peerListener.ts";
import { type PeerAutoTls, PeerTls } from "../src/transport/peerTls.ts";
import { PortLink } from "../src/transport/port.ts";
import { refuse, SocketLink } from "../src/transport/socket.ts";
import { binding } from "./bindError.ts";

/** A member that comes back is found within this time; below the shortest election. */
export const redialMsMax = 1_000;

/**
 * Peers that are not known, but know the cluster: a member that was away does not know who joined
 * meanwhile, and one of those may lead. They are forgotten when the list names them, or for newer ones.
 */
export const guestsMax = 16;

export interface MeshOptions {
  readonly self: PeerIdentity;
  /** What the member knows about whoever introduces itself. */
  readonly standingOf: (id: MemberId, birth: number) => PeerStanding;
  readonly onTurnedAway: (why: TurnedAway, peer: MemberId) => void;
  /** JSON for those that want to join. */
  readonly members: () => string;
}

export class PeerDoor {
  readonly #log: Log;
  /** Whoever introduces itself under one id after the other does not fill the log. */
  readonly #strangers: SeldomLog;
  readonly #ports = new PortLink();
  #listeners: readonly PeerListener[] = [];
  #tls: PeerTls | undefined;
  #sockets: SocketLink | undefined;
  #mixed: MixedLink | undefined;
  #members: (() => string) | undefined;
  #self: MemberId = noMember;
  /** Peers of other processes and where they are dialled. */
  readonly #remotes = new Map<MemberId, readonly string[]>();
  readonly #guests = new Map<MemberId, readonly string[]>();
  /** Peers of this process. */
  readonly #attached = new Set<MemberId>();

  constructor(log: Log) {
    this.#log = log;
    this.#strangers = new SeldomLog(log, systemClock);
  }

  /** All peers that `attach` and `follow` name. */
  get link(): PeerLink {
    return this.#mixed ?? this.#ports;
  }

  /** @throws {BindError} for an address that is taken or not ours. */
  async listen({ listen, tls }: MeshDoor): Promise<void> {
    const acceptor: PeerAcceptor = {
      accept: (request, stream, head) => {
        if (this.#sockets !== undefined) this.#sockets.accept(request, stream, head);
        else refuse(stream, { status: 503, why: "the member is starting" });
      },
      members: () => this.#members?.(),
    };
    this.#tls = tls && new PeerTls(tls === "auto" ? selfMade(listen) : tls, this.#log);
    for (const { isTls, ...address } of listen) {
      const rules = isTls && this.#tls !== undefined ? { tls: this.#tls } : {};
      const bound = listenForPeers(acceptor, { ...address, ...rules });
      this.#listeners = [...this.#listeners, await binding(address, bound)];
    }
  }

  /** Starts to be dialled. Called once, before anyone keeps `link`. */
  open({ self, standingOf, onTurnedAway, members }: MeshOptions): void {
    const sockets = new SocketLink({
      self,
      random: systemRandom,
      log: this.#log,
      limits: { redialMsMax },
      ...(this.#tls === undefined ? {} : { tls: this.#tls }),
      standingOf: (id, { birth, peerUrls }) => {
        const standing = standingOf(id, birth);
        const mayStay = standing === "stranger" && this.#admit(id, peerUrls.map(linkUrl));
        return mayStay ? "member" : standing;
      },
      onTurnedAway,
    });
    this.#self = self.id;
    this.#members = members;
    this.#sockets = sockets;
    this.#mixed = new MixedLink(this.#ports, sockets);
  }

  /** Of other processes these are the peers from now on. Those of this one come and go by `attach`. */
  follow(members: readonly LinkInfo[]): void {
    const urls = new Map<MemberId, readonly string[]>();
    for (const { id, peerUrls } of members) {
      this.#guests.delete(id);
      const own = peerUrls.filter((one) => /^(https?|wss?):/.test(one)).map(linkUrl);
      if (id !== this.#self && own.length > 0) urls.set(id, own);
    }
    for (const [id, own] of this.#guests) urls.set(id, own);
    for (const id of [...this.#remotes.keys()]) if (!urls.has(id)) this.#leave(id);
    for (const [id, own] of urls) this.#dial(id, own);
  }

  /** A peer of this process. */
  attach(peer: MemberId, port: MessagePort): void {
    this.#attached.add(peer);
    (this.#mixed ?? this.#ports).attach(peer, port);
  }

  /** Frames to these peers of this process are lost; to all others they are not. */
  mute(peers: ReadonlySet<MemberId>): void {
    this.#ports.mute(peers);
  }

  close(): void {
    this.link.close();
    for (const listener of this.#listeners) void listener.close();
  }

  #dial(id: MemberId, urls: readonly string[]): void {
    if (this.#remotes.get(id)?.join() === urls.join() || this.#attached.has(id)) return;
    this.#remotes.set(id, urls);
    this.#mixed?.setPeer(id, ...urls);
  }

  #leave(id: MemberId): void {
    this.#remotes.delete(id);
    this.#mixed?.remove(id);
  }

  /** @returns false for one that cannot be answered. */
  #admit(id: MemberId, urls: readonly string[]): boolean {
    if (this.#guests.has(id)) return true;
    if (urls.length === 0) return false;
    const [oldest] = this.#guests.keys();
    if (this.#guests.size >= guestsMax && oldest !== undefined) {
      this.#guests.delete(oldest);
      this.#leave(oldest);
    }
    this.#strangers.warn(`${id}`, "heard from a member that is not known yet", { peer: id });
    this.#guests.set(id, urls);
    this.#dial(id, urls);
    return true;
  }
}

function selfMade(listen: readonly MeshAddress[]): PeerAutoTls {
  const hosts = new Set([...listen.map(({ host }) => host), "localhost", "127.0.0.1", "::1"]);
  return { auto: true, own: makeCertificate([...hosts], Date.now()) };
}
