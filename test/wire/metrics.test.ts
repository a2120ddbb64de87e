// The page of /metrics beside that of a real etcd: names, types, labels and bounds.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Etcd, findEtcd, noEtcdReason } from "../support/etcd.ts";
import { GatewayClient } from "../support/gatewayClient.ts";
import { type Family, parseMetrics } from "../support/metricsPage.ts";
import { Server } from "../support/server.ts";

/** Parts that are not here, and that etcd's boards do not read. */
const leftOut: readonly (readonly [names: RegExp, why: string])[] = [
  [/^etcd_grpc_proxy_/, "counts of the proxy, which a server never moves either"],
  [/^etcd_debugging_store_/, "the store of version 2, which etcd itself gave up"],
  [/^go_(memstats_|gc_go|sched_)/, "how Go's runtime keeps its memory"],
];

test("families that both have are of one type, with the same labels and bounds", {
  skip: findEtcd() === undefined ? noEtcdReason : false,
}, async () => {
  const binary = findEtcd();
  assert.ok(binary);
  await using etcd = await Etcd.start({ binary });
  await using server = await Server.start({ members: 1 });
  const [wanted, got] = await Promise.all(
    [etcd, server].map(async ({ endpoints }) => {
      const client = new GatewayClient(endpoints[0] ?? "");
      await client.post("/v3/kv/put", { key: "YQ==" });
      for (const path of ["/health", "/readyz", "/livez"])
        await client.ask({ method: "GET", path });
      const { text } = await client.ask({ method: "GET", path: "/metrics" });
      client.close();
      return parseMetrics(text);
    }),
  );
  assert.ok(wanted && got);
  const shared = [...got.keys()].filter((name) => wanted.has(name));
  assert.ok(shared.length > 40, shared.join());
  for (const name of shared) {
    assert.equal(got.get(name)?.type, wanted.get(name)?.type, `type of ${name}`);
    assert.deepEqual(shapeOf(got.get(name)), shapeOf(wanted.get(name)), `labels of ${name}`);
  }
  const lacking = [...wanted.keys()].filter(
    (name) => !got.has(name) && !leftOut.some(([names]) => names.test(name)),
  );
  assert.deepEqual(lacking, []);
  const ours = [...got.keys()].filter((name) => !wanted.has(name) && !name.startsWith("quorlet_"));
  // Peers are missing on both; nothing else of ours has a name that etcd does not know.
  assert.deepEqual(ours, []);
});

/** Names of labels, and bounds of buckets. */
function shapeOf(family: Family | undefined): readonly string[] {
  const samples = family?.samples ?? [];
  return [
    ...new Set(
      samples.map(({ name, labels }) => {
        const { le, ...rest } = labels;
        return `${name} ${Object.keys(rest).sort().join()} ${le === undefined ? "" : Number(le)}`;
      }),
    ),
  ].sort();
}
