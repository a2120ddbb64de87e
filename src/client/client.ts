// The client of a cluster: etcd's calls with types, over any channel.

import { emptyBytes } from "../base/bytes.ts";
import {
  decodeCompactionResponse,
  decodeDeleteRangeResponse,
  decodePutResponse,
  decodeRangeResponse,
  decodeTxnResponse,
} from "../proto/decodeResponses.ts";
import {
  encodeCompactionRequest,
  encodeDeleteRangeRequest,
  encodePutRequest,
  encodeRangeRequest,
  encodeTxnRequest,
} from "../proto/encodeRequests.ts";
import type { CompactionRequest } from "../proto/kv.ts";
import { Writer } from "../proto/writer.ts";
import type { CallOptions, Channel } from "./channel.ts";
import {
  decodeMemberList,
  decodeStatus,
  type MemberListResult,
  type StatusResult,
} from "./clusterAnswers.ts";
import { Election } from "./election.ts";
import type { Lease, LeaseOptions } from "./lease.ts";
import { LeaseKeeper } from "./leaseKeeper.ts";
import { acquireLock, type HoldOptions, type Lock } from "./lock.ts";
import {
  type Bytes,
  type DeleteOptions,
  deleteRequest,
  type KeyRange,
  type PutOptions,
  putRequest,
  type RangeOptions,
  rangeRequest,
} from "./requests.ts";
import {
  type DeleteResult,
  type Header,
  ownAnswer,
  type Pair,
  type PutResult,
  parsed,
  type RangeResult,
  toDeleteResult,
  toHeader,
  toPutResult,
  toRangeResult,
  toTxnResult,
} from "./results.ts";
import { Txn } from "./txn.ts";
import type { Watch, WatchOptions } from "./watch.ts";
import { WatchPool } from "./watchPool.ts";

/** Every call rejects with EtcdError: code and text are etcd's. */
export class Client {
  readonly #channel: Channel;
  readonly #writer = new Writer();
  readonly #watches: WatchPool;
  readonly #leases: LeaseKeeper;

  /** The channel belongs to the client from here on. */
  constructor(channel: Channel) {
    this.#channel = channel;
    this.#watches = new WatchPool(channel);
    this.#leases = new LeaseKeeper(channel);
  }

  /** One key; undefined when there is none. */
  async get(key: Bytes, options: RangeOptions & CallOptions = {}): Promise<Pair | undefined> {
    const { pairs } = await this.getAll(key, options);
    return pairs[0];
  }

  /** The keys of a range, and the header of the answer. */
  async getAll(range: KeyRange, options: RangeOptions & CallOptions = {}): Promise<RangeResult> {
    const request = encodeRangeRequest(this.#writer, rangeRequest(range, options));
    const answer = await this.#channel.unary("/etcdserverpb.KV/Range", request, options);
    return toRangeResult(parsed(decodeRangeResponse(ownAnswer(answer))));
  }

  async put(key: Bytes, value: Bytes, options: PutOptions & CallOptions = {}): Promise<PutResult> {
    const request = encodePutRequest(this.#writer, putRequest({ key, value }, options));
    const answer = await this.#channel.unary("/etcdserverpb.KV/Put", request, options);
    const kept = options.previous === true ? ownAnswer(answer) : answer;
    return toPutResult(parsed(decodePutResponse(kept)));
  }

  async delete(range: KeyRange, options: DeleteOptions & CallOptions = {}): Promise<DeleteResult> {
    const request = encodeDeleteRangeRequest(this.#writer, deleteRequest(range, options));
    const answer = await this.#channel.unary("/etcdserverpb.KV/DeleteRange", request, options);
    const kept = options.previous === true ? ownAnswer(answer) : answer;
    return toDeleteResult(parsed(decodeDeleteRangeResponse(kept)));
  }

  /** A transaction to be filled; see txn.ts. */
  txn(): Txn {
    return new Txn(async (request, options) => {
      const bytes = encodeTxnRequest(this.#writer, request);
      const answer = await this.#channel.unary("/etcdserverpb.KV/Txn", bytes, options);
      return toTxnResult(parsed(decodeTxnResponse(ownAnswer(answer))));
    });
  }

  /** Forgets history before `revision`; `physical`: answers when it is gone from disk as well. */
  async compact(
    revision: number,
    options: { readonly physical?: boolean } & CallOptions = {},
  ): Promise<Header> {
    const request: CompactionRequest = { revision, physical: options.physical ?? false };
    const bytes = encodeCompactionRequest(this.#writer, request);
    const answer = await this.#channel.unary("/etcdserverpb.KV/Compact", bytes, options);
    return toHeader(parsed(decodeCompactionResponse(answer)).header);
  }

  /**
   * Events of a range, beginning now: `for await (const event of client.watch({ prefix: "a/" }))`. It
   * goes on by itself when members die or the leader changes. See watch.ts.
   */
  watch(range: KeyRange, options: WatchOptions = {}): Watch {
    return this.#watches.watch(range, options);
  }

  /** A lease that is kept alive by itself; put keys with it: `{ lease: lease.id }`. */
  lease(options: LeaseOptions): Promise<Lease> {
    return this.#leases.grant(options);
  }

  /** Resolves when the lock is ours; see lock.ts. */
  lock(name: Bytes, options: HoldOptions = {}): Promise<Lock> {
    return acquireLock(this, name, options);
  }

  election(name: Bytes): Election {
    return new Election(this, name);
  }

  /** Linearizable, as etcd's own clients ask. */
  async memberList(options: CallOptions = {}): Promise<MemberListResult> {
    this.#writer.bool(0x08, true);
    const request = this.#writer.finish();
    const answer = await this.#channel.unary("/etcdserverpb.Cluster/MemberList", request, options);
    return parsed(decodeMemberList(answer));
  }

  /** Of the member that answers: the leader, where the channel knows it. */
  async status(options: CallOptions = {}): Promise<StatusResult> {
    const path = "/etcdserverpb.Maintenance/Status";
    return parsed(decodeStatus(await this.#channel.unary(path, emptyBytes, options)));
  }

  /** Fails what is in flight. */
  close(): void {
    this.#watches.close();
    this.#leases.close();
    this.#channel.close();
  }
}
