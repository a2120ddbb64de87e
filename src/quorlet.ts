// biome-ignore-all lint/performance/noBarrelFile: what the package offers to programs stands here.
// The public face of the package.
export { EtcdError, StatusCode } from "./base/errors.ts";
export { Client } from "./client/client.ts";
export { connect } from "./client/connect.ts";
export type { Election, Leadership } from "./client/election.ts";
export type { Lease, LeaseOptions, TimeToLive } from "./client/lease.ts";
export type { HoldOptions, Lock } from "./client/lock.ts";
export {
  type DeleteResult,
  type Header,
  Pair,
  type PutResult,
  type RangeResult,
  type TxnOpResult,
  type TxnResult,
} from "./client/results.ts";
export type { ConnectOptions } from "./client/socketChannel.ts";
export { compare, op, type Txn } from "./client/txn.ts";
export type { Watch, WatchOptions } from "./client/watch.ts";
export { CompactedError, type WatchBatch, type WatchEvent } from "./client/watchEvent.ts";
export {
  Cluster,
  type ClusterOptions,
  type MemberHandle,
  type MemberNotice,
} from "./cluster/cluster.ts";
export type { CutDirection, Faults } from "./cluster/faults.ts";
export { StartError } from "./cluster/startError.ts";
