// Which path is served by which method of api/.
import { AuthService } from "../api/auth.ts";
import { ClusterService } from "../api/cluster.ts";
import { ElectionService } from "../api/election.ts";
import { Headers } from "../api/header.ts";
import { HealthService } from "../api/health.ts";
import { KvService } from "../api/kv.ts";
import { LeaseService } from "../api/lease.ts";
import { Line } from "../api/line.ts";
import { LineCommands } from "../api/lineCommands.ts";
import { LockService } from "../api/lock.ts";
import { MaintenanceService } from "../api/maintenance.ts";
import { WatchService } from "../api/watch.ts";
import { noMember } from "../base/brand.ts";
import { errLearnerRefuses, errNoLeader } from "../base/errors.ts";
import type { MemberService } from "../member/service.ts";
import { Writer } from "../proto/writer.ts";
import type { MethodTable, StreamMethod, UnaryMethod } from "./call.ts";
import { ledStream } from "./ledStream.ts";

/**
 * Services that etcd registers. A path of one of them that is not in the table is answered by
 * `errUnknownMethod`, any other by `errServiceNotServed`.
 */
export const knownServices: ReadonlySet<string> = new Set([
  "etcdserverpb.KV",
  "etcdserverpb.Watch",
  "etcdserverpb.Lease",
  "etcdserverpb.Cluster",
  "etcdserverpb.Maintenance",
  "etcdserverpb.Auth",
  "v3lockpb.Lock",
  "v3electionpb.Election",
  "grpc.health.v1.Health",
]);

export function bindMethods(member: MemberService): MethodTable {
  const headers = new Headers(member);
  // Calls of one member run in one thread and copy their answers: one writer serves them all.
  const writer = new Writer();
  const kv = new KvService(member, headers, writer);
  const cluster = new ClusterService(member, headers, writer);
  const maintenance = new MaintenanceService(member, headers, writer);
  const auth = new AuthService(member, headers, writer);
  const health = new HealthService(writer);
  const watch = new WatchService(member, headers, writer);
  const lease = new LeaseService(member, headers, writer);
  const line = new Line(member, new LineCommands(member, writer));
  const lock = new LockService(line, headers, writer);
  const election = new ElectionService(line, headers, writer);
  const unary = new Map<string, UnaryMethod>([
    ["/etcdserverpb.KV/Range", kv.range],
    ["/etcdserverpb.KV/Put", kv.put],
    ["/etcdserverpb.KV/DeleteRange", kv.deleteRange],
    ["/etcdserverpb.KV/Txn", kv.txn],
    ["/etcdserverpb.KV/Compact", kv.compact],
    ["/etcdserverpb.Lease/LeaseGrant", lease.grant],
    ["/etcdserverpb.Lease/LeaseRevoke", lease.revoke],
    ["/etcdserverpb.Lease/LeaseTimeToLive", lease.timeToLive],
    ["/etcdserverpb.Lease/LeaseLeases", lease.leases],
    ["/etcdserverpb.Cluster/MemberList", cluster.memberList],
    ["/etcdserverpb.Cluster/MemberAdd", cluster.memberAdd],
    ["/etcdserverpb.Cluster/MemberRemove", cluster.memberRemove],
    ["/etcdserverpb.Cluster/MemberUpdate", cluster.memberUpdate],
    ["/etcdserverpb.Cluster/MemberPromote", cluster.memberPromote],
    ["/etcdserverpb.Maintenance/MoveLeader", maintenance.moveLeader],
    ["/etcdserverpb.Maintenance/Status", maintenance.status],
    ["/etcdserverpb.Maintenance/Alarm", maintenance.alarm],
    ["/etcdserverpb.Maintenance/Defragment", maintenance.defragment],
    ["/etcdserverpb.Maintenance/HashKV", maintenance.hashKv],
    ["/etcdserverpb.Maintenance/Hash", maintenance.hash],
    ["/etcdserverpb.Maintenance/Downgrade", maintenance.downgrade],
    ...authMethods(auth),
    ["/v3lockpb.Lock/Lock", lock.lock],
    ["/v3lockpb.Lock/Unlock", lock.unlock],
    ["/v3electionpb.Election/Campaign", election.campaign],
    ["/v3electionpb.Election/Proclaim", election.proclaim],
    ["/v3electionpb.Election/Leader", election.leader],
    ["/v3electionpb.Election/Resign", election.resign],
    ["/grpc.health.v1.Health/Check", health.check],
    ["/grpc.health.v1.Health/List", health.list],
  ]);
  for (const [path, method] of unary) {
    const served = learnerPaths.has(path) ? method : withLearnerRule(member, method);
    unary.set(path, withLeaderRule(member, served));
  }
  const stream = new Map<string, StreamMethod>([
    ["/etcdserverpb.Watch/Watch", watch.watch],
    ["/etcdserverpb.Lease/LeaseKeepAlive", lease.keepAlive],
    ["/etcdserverpb.Maintenance/Snapshot", maintenance.snapshot],
    ["/v3electionpb.Election/Observe", election.observe],
    ["/grpc.health.v1.Health/Watch", health.watch],
  ]);
  for (const [path, method] of stream) stream.set(path, ledStream(member, method));
  return { unary, stream };
}

function authMethods(auth: AuthService): readonly (readonly [string, UnaryMethod])[] {
  const methods: Readonly<Record<string, UnaryMethod>> = {
    AuthEnable: auth.enable,
    AuthDisable: auth.nothing,
    AuthStatus: auth.status,
    Authenticate: auth.authenticate,
    UserAdd: auth.userAdd,
    UserGet: auth.ofUser,
    UserList: auth.nothing,
    UserDelete: auth.ofUser,
    UserChangePassword: auth.ofUser,
    UserGrantRole: auth.ofUser,
    UserRevokeRole: auth.ofUser,
    RoleAdd: auth.roleAdd,
    RoleGet: auth.ofRole,
    RoleList: auth.nothing,
    RoleDelete: auth.ofRole,
    RoleGrantPermission: auth.grantPermission,
    RoleRevokePermission: auth.ofRole,
  };
  return Object.entries(methods).map(([name, method]) => [`/etcdserverpb.Auth/${name}`, method]);
}

/** What a learner serves as well; of ranges the KV service refuses those that are linearizable. */
const learnerPaths: ReadonlySet<string> = new Set([
  "/etcdserverpb.KV/Range",
  "/etcdserverpb.Maintenance/Status",
  "/grpc.health.v1.Health/Check",
  "/grpc.health.v1.Health/List",
]);

function withLearnerRule(member: MemberService, method: UnaryMethod): UnaryMethod {
  return (call, message) => {
    if (member.isLearner) call.fail(errLearnerRefuses);
    else method(call, message);
  };
}

/** With the header `hasleader: true` a call fails at once when the member knows no leader. */
function withLeaderRule(member: MemberService, method: UnaryMethod): UnaryMethod {
  return (call, message) => {
    if (call.metadata("hasleader") === "true" && member.status().leader === noMember) {
      call.fail(errNoLeader);
    } else method(call, message);
  };
}
