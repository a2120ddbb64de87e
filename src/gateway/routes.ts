// Paths of the v3 gateway, one row per method. What is served is decided by the table of methods.
import type { MethodTable, StreamMethod, UnaryMethod } from "../grpc/call.ts";
import { findMethod, type MethodDescriptor } from "../proto/descriptors.ts";

const kv = "/etcdserverpb.KV/";
const lease = "/etcdserverpb.Lease/";
const cluster = "/etcdserverpb.Cluster/";
const maintenance = "/etcdserverpb.Maintenance/";
const auth = "/etcdserverpb.Auth/";
const lock = "/v3lockpb.Lock/";
const election = "/v3electionpb.Election/";

/** Path of the gateway → method. */
export const gatewayPaths: ReadonlyMap<string, string> = new Map([
  ["/v3/kv/range", `${kv}Range`],
  ["/v3/kv/put", `${kv}Put`],
  ["/v3/kv/deleterange", `${kv}DeleteRange`],
  ["/v3/kv/txn", `${kv}Txn`],
  ["/v3/kv/compaction", `${kv}Compact`],
  ["/v3/watch", "/etcdserverpb.Watch/Watch"],
  ["/v3/lease/grant", `${lease}LeaseGrant`],
  ["/v3/lease/revoke", `${lease}LeaseRevoke`],
  ["/v3/kv/lease/revoke", `${lease}LeaseRevoke`],
  ["/v3/lease/keepalive", `${lease}LeaseKeepAlive`],
  ["/v3/lease/timetolive", `${lease}LeaseTimeToLive`],
  ["/v3/kv/lease/timetolive", `${lease}LeaseTimeToLive`],
  ["/v3/lease/leases", `${lease}LeaseLeases`],
  ["/v3/kv/lease/leases", `${lease}LeaseLeases`],
  ["/v3/cluster/member/add", `${cluster}MemberAdd`],
  ["/v3/cluster/member/remove", `${cluster}MemberRemove`],
  ["/v3/cluster/member/update", `${cluster}MemberUpdate`],
  ["/v3/cluster/member/list", `${cluster}MemberList`],
  ["/v3/cluster/member/promote", `${cluster}MemberPromote`],
  ["/v3/maintenance/alarm", `${maintenance}Alarm`],
  ["/v3/maintenance/status", `${maintenance}Status`],
  ["/v3/maintenance/defragment", `${maintenance}Defragment`],
  ["/v3/maintenance/hash", `${maintenance}Hash`],
  ["/v3/maintenance/hashkv", `${maintenance}HashKV`],
  ["/v3/maintenance/snapshot", `${maintenance}Snapshot`],
  ["/v3/maintenance/transfer-leadership", `${maintenance}MoveLeader`],
  ["/v3/maintenance/downgrade", `${maintenance}Downgrade`],
  ["/v3/auth/enable", `${auth}AuthEnable`],
  ["/v3/auth/disable", `${auth}AuthDisable`],
  ["/v3/auth/status", `${auth}AuthStatus`],
  ["/v3/auth/authenticate", `${auth}Authenticate`],
  ["/v3/auth/user/add", `${auth}UserAdd`],
  ["/v3/auth/user/get", `${auth}UserGet`],
  ["/v3/auth/user/list", `${auth}UserList`],
  ["/v3/auth/user/delete", `${auth}UserDelete`],
  ["/v3/auth/user/changepw", `${auth}UserChangePassword`],
  ["/v3/auth/user/grant", `${auth}UserGrantRole`],
  ["/v3/auth/user/revoke", `${auth}UserRevokeRole`],
  ["/v3/auth/role/add", `${auth}RoleAdd`],
  ["/v3/auth/role/get", `${auth}RoleGet`],
  ["/v3/auth/role/list", `${auth}RoleList`],
  ["/v3/auth/role/delete", `${auth}RoleDelete`],
  ["/v3/auth/role/grant", `${auth}RoleGrantPermission`],
  ["/v3/auth/role/revoke", `${auth}RoleRevokePermission`],
  ["/v3/lock/lock", `${lock}Lock`],
  ["/v3/lock/unlock", `${lock}Unlock`],
  ["/v3/election/campaign", `${election}Campaign`],
  ["/v3/election/proclaim", `${election}Proclaim`],
  ["/v3/election/leader", `${election}Leader`],
  ["/v3/election/observe", `${election}Observe`],
  ["/v3/election/resign", `${election}Resign`],
]);

export type GatewayRoute =
  | {
      readonly kind: "unary";
      readonly method: UnaryMethod;
      readonly messages: MethodDescriptor;
      readonly rpc: string;
    }
  | {
      readonly kind: "stream";
      readonly method: StreamMethod;
      readonly messages: MethodDescriptor;
      readonly rpc: string;
    }
  /** etcd knows it; nobody serves it here. */
  | { readonly kind: "missing"; readonly rpc: string };

/** @returns routes by path of the gateway. */
export function gatewayRoutes(methods: MethodTable): ReadonlyMap<string, GatewayRoute> {
  return new Map([...gatewayPaths].map(([path, rpc]) => [path, routeOf(rpc, methods)]));
}

function routeOf(rpc: string, methods: MethodTable): GatewayRoute {
  const messages = findMethod(rpc);
  const unary = methods.unary.get(rpc);
  const stream = methods.stream.get(rpc);
  if (messages !== undefined && unary !== undefined) {
    return { kind: "unary", method: unary, messages, rpc };
  }
  if (messages !== undefined && stream !== undefined) {
    return { kind: "stream", method: stream, messages, rpc };
  }
  return { kind: "missing", rpc };
}
