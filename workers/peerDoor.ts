// The peers' side of a member thread: ports to members of this process at any time, sockets to those of
// others from `open` on. Until then whoever calls is told to try again.
import type { MessagePort } from "node:worker_threads";
import { MemberId } from "../src/base/brand.ts";
import type { Log } from "../src/base/ports.ts";
import { systemRandom } from "../src/base/system.ts";
import type { Address } from "../src/cluster/address.ts";
import type { RemotePeer } from "../src/cluster/protocol.ts";
import type { PeerIdentity } from "../src/transport/handshake.ts";
import type { PeerLink } from "../src/transport/link.ts";
import { MixedLink } from "../src/transport/mixed.ts";
import { listenForPeers, type PeerListener } from "../src/transport/peerListener.ts";
import { PortLink } from "../src/transport/port.ts";
import { refuse, SocketLink } from "../src/transport/socket.ts";

/** A member that comes back is found within this time; below the shortest election. */
export const redialMsMax = 1_000;

export interface MeshOptions {
  readonly self: PeerIdentity;
  readonly remotePeers: readonly RemotePeer[];
  readonly onClientUrls: (peer: MemberId, clientUrls: readonly string[]) => void;
}

export class PeerDoor {
  readonly #log: Log;
  readonly #ports = new PortLink();
  #listener: PeerListener | undefined;
  #sockets: SocketLink | undefined;
  #mixed: MixedLink | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  /** All peers that `attach` and `open` name. */
  get link(): PeerLink {
    return this.#mixed ?? this.#ports;
  }

  /** Rejects when the address is taken or not ours. */
  async listen(address: Address): Promise<void> {
    this.#listener = await listenForPeers(
      {
        accept: (request, stream, head) => {
          if (this.#sockets !== undefined) this.#sockets.accept(request, stream, head);
          else refuse(stream, { status: 503, why: "the member is starting" });
        },
      },
      address,
    );
  }

  /** Starts to dial and to be dialled. Called once, before anyone keeps `link`. */
  open({ self, remotePeers, onClientUrls }: MeshOptions): void {
    const sockets = new SocketLink({
      self,
      random: systemRandom,
      log: this.#log,
      limits: { redialMsMax },
      onClientUrls,
    });
    this.#sockets = sockets;
    this.#mixed = new MixedLink(this.#ports, sockets);
    for (const { id, url } of remotePeers) this.#mixed.setPeer(MemberId(id), url);
  }

  /** A peer of this process. */
  attach(peer: MemberId, port: MessagePort): void {
    (this.#mixed ?? this.#ports).attach(peer, port);
  }

  /** Frames to these peers of this process are lost; to all others they are not. */
  mute(peers: ReadonlySet<MemberId>): void {
    this.#ports.mute(peers);
  }

  close(): void {
    this.link.close();
    void this.#listener?.close();
  }
}
