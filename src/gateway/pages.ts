// Pages about the member itself that are not its health.
import { etcdVersion } from "../api/maintenance.ts";
import { jsonType } from "./exchange.ts";
import type { Page } from "./server.ts";

/** A page that is rendered anew for each request. */
export function textPage(contentType: string, render: () => string): Page {
  return (_request, reply) => reply.whole(200, [["Content-Type", contentType]], render());
}

const clusterVersion = etcdVersion.replace(/\.\d+$/, ".0");

export const versionPage: Page = (_request, reply) => {
  const body = JSON.stringify({ etcdserver: etcdVersion, etcdcluster: clusterVersion });
  reply.whole(200, [jsonType], body);
};
