// biome-ignore-all lint/performance/noBarrelFile: what the package offers to programs stands here.
// The public face of the package.
export { EtcdError, StatusCode } from "./base/errors.ts";
export { Client } from "./client/client.ts";
export {
  Cluster,
  type ClusterOptions,
  type MemberHandle,
  type MemberNotice,
} from "./cluster/cluster.ts";
export { StartError } from "./cluster/startError.ts";
