// What main and member threads say to each other. Control only: no client or peer traffic.

import type { MessagePort } from "node:worker_threads";
import type { LogFormat, LogLevel } from "../base/system.ts";
import type { ChangePolicy } from "../member/changeRequest.ts";
import type { MemberTiming } from "../member/events.ts";
import type { CompactionBounds } from "../member/logCompaction.ts";
import type { MemberInfo } from "../member/service.ts";
import type { Role } from "../raft/types.ts";
import type { SharedFiles } from "../storage/sharedDisk.ts";
import type { PeerTlsSettings } from "../transport/peerTls.ts";
import type { Address } from "./address.ts";

export interface MeshAddress extends Address {
  readonly isTls: boolean;
}

/** How a member meets those of other processes. */
export interface MeshDoor {
  /** At least one. */
  readonly listen: readonly MeshAddress[];
  /** Where the others find this member; ws, wss, http or https. */
  readonly urls: readonly string[];
  /** "auto": a certificate of its own making. */
  readonly tls?: PeerTlsSettings | "auto";
}

/** How clients are met; what is left out is as open as etcd's defaults. */
export interface ClientDoor {
  /** Files in PEM, read again when they change; the same rules for every address. */
  readonly tls?: {
    readonly certFile: string;
    readonly keyFile: string;
    readonly trustedCaFile?: string;
    readonly clientCertAuth?: boolean;
    readonly crlFile?: string;
    readonly cipherSuites?: readonly string[];
    readonly minVersion?: "TLSv1.2" | "TLSv1.3";
    readonly maxVersion?: "TLSv1.2" | "TLSv1.3";
  };
  /** A certificate of its own making, where no files are named. */
  readonly autoTls?: boolean;
  /** How `listen` serves; everything, secure if there is a certificate, when left out. */
  readonly main?: DoorManner;
  /** Further addresses. */
  readonly more?: readonly (DoorManner & { readonly at: Address | { readonly path: string } })[];
  /** Origins of pages; left out: all for JSON, only the member's own for WebSockets. */
  readonly cors?: readonly string[];
  readonly hostWhitelist?: readonly string[];
}

export interface DoorManner {
  readonly secure: boolean;
  /** "grpc" and "http" each leave out the other; "metrics": nothing but numbers and health. */
  readonly serves: "all" | "grpc" | "http" | "metrics";
}

/** Given to the thread at its birth. Ids are plain bigints: brands do not cross threads. */
export interface MemberThreadData {
  readonly name: string;
  readonly id: bigint;
  readonly clusterId: bigint;
  /** The client door. */
  readonly listen: Address;
  readonly door?: ClientDoor;
  /** Missing: all members are in this process. */
  readonly mesh?: MeshDoor;
  readonly timing: MemberTiming;
  /** Reads are answered by the leader's lease, not by a quorum round. */
  readonly leaseReads: boolean;
  /** When changes of membership are refused; etcd's defaults where left out. */
  readonly changePolicy?: Partial<ChangePolicy>;
  /** Between two progress messages to an idle watcher; etcd's 10 minutes when left out. */
  readonly watchProgressMs?: number;
  /** When the log lets go of entries; the member's own bounds where left out. */
  readonly compaction?: Partial<CompactionBounds>;
  /** "extensive": calls are timed too. */
  readonly metrics?: "basic" | "extensive";
  readonly logLevel: LogLevel;
  readonly logFormat?: LogFormat;
  /** Without folders: the log files of earlier lives. Kept by main, see storage/sharedDisk.ts. */
  readonly sharedFiles: SharedFiles;
  /** The cell of a ThreadGate: the thread is not terminated while it is closed from within. */
  readonly gate: Int32Array<SharedArrayBuffer>;
}

export type ToMember =
  /** Open the disk, join the cluster, serve. Sent after all members have their ports. */
  | {
      readonly kind: "start";
      readonly incarnation: number;
      /** Names the log that the member began with. */
      readonly birth: number;
      /** Undefined: in memory. */
      readonly folders: { readonly log: string; readonly store: string } | undefined;
      /** True when there may be no log yet. */
      readonly mayCreate: boolean;
      /** Where clients find this member. */
      readonly clientUrls: readonly string[];
      /** Who is known to be a member, until the log says it. */
      readonly members: readonly MemberInfo[];
      /** The voters that the cluster began with; empty for one that was added: the log will tell it. */
      readonly begunWith: readonly bigint[];
      /** Go on without all other members, whatever they say. */
      readonly forceAlone?: boolean;
    }
  /** A channel to a peer; replaces an earlier one. */
  | { readonly kind: "peer"; readonly peer: bigint; readonly port: MessagePort }
  /** A channel to an embedded client. */
  | { readonly kind: "client"; readonly port: MessagePort }
  | { readonly kind: "campaign" }
  /** Stand still for `ms`, or until `gate` holds something other than 0. */
  | { readonly kind: "pause"; readonly ms: number; readonly gate: Int32Array }
  /** Lose all frames to these peers, and to no others. */
  | { readonly kind: "mute"; readonly peers: readonly bigint[] }
  /**
   * Refuse what waits, write what is applied, close everything, exit. `handOver`: the others go on, so let
   * one of them lead first, and let calls under way be answered.
   */
  | { readonly kind: "stop"; readonly handOver: boolean }
  /** Crash: exit with nothing written that is not written yet. */
  | { readonly kind: "die" };

export type FromMember =
  | { readonly kind: "bound"; readonly port: number }
  | { readonly kind: "started"; readonly lastIndex: number; readonly lastTerm: number }
  | {
      readonly kind: "leader";
      readonly leader: bigint;
      readonly role: Role;
      readonly term: number;
    }
  | { readonly kind: "fileCreated"; readonly name: string; readonly buffer: SharedArrayBuffer }
  | { readonly kind: "fileRemoved"; readonly name: string }
  /** Who is a member no more, as this one has applied it, whenever the list changed. */
  | { readonly kind: "removed"; readonly ids: readonly bigint[] }
  /**
   * The member is about to exit because of `message`; `permanent`: starting again cannot help;
   * `removed`: as it is no member any more, which is in order.
   */
  | {
      readonly kind: "fault";
      readonly message: string;
      readonly permanent: boolean;
      readonly removed?: boolean;
    };
