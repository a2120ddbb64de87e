// Pages about the member itself that are not its health.
import { etcdVersion } from "../api/maintenance.ts";
import { jsonType } from "./exchange.ts";
import type { Page } from "./server.ts";

const clusterVersion = etcdVersion.replace(/\.\d+$/, ".0");

export const versionPage: Page = (_request, reply) => {
  const body = JSON.stringify({ etcdserver: etcdVersion, etcdcluster: clusterVersion });
  reply.whole(200, [jsonType], body);
};
