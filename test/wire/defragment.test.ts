// `etcdctl defrag` on a store of which most was deleted and compacted: the file shrinks, what was left stays.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connect } from "../../src/client/connect.ts";
import { Cluster } from "../../src/cluster/cluster.ts";
import { etcdctl, findEtcdctls, noEtcdctlReason } from "../support/etcdctl.ts";

const binary = findEtcdctls().at(0);
const keyCount = 1_000;
const valueBytes = 2_000;

test("etcdctl defrag gives back what a compaction freed", {
  skip: binary === undefined && noEtcdctlReason,
}, async () => {
  assert.ok(binary);
  const dataDir = mkdtempSync(join(tmpdir(), "quorlet-defrag-"));
  const storeBytes = (): number => {
    const path = readdirSync(dataDir, { recursive: true, encoding: "utf8" }).find((name) =>
      name.endsWith("store/data.mdb"),
    );
    return statSync(join(dataDir, path ?? assert.fail("there is a store"))).size;
  };
  try {
    {
      await using cluster = await Cluster.start({ members: 1, dataDir });
      const { endpoints } = cluster;
      const run = async (...args: readonly string[]): Promise<string> => {
        const answer = await etcdctl({
          binary,
          endpoints,
          args: ["--command-timeout=60s", ...args],
        });
        assert.equal(answer.code, 0, answer.stderr);
        return answer.stdout;
      };
      const status = async (): Promise<Record<"dbSize" | "dbSizeInUse", number>> =>
        JSON.parse(await run("endpoint", "status", "-w", "json"))[0].Status;
      const client = connect(`ws://${endpoints[0]}`);
      const value = new Uint8Array(valueBytes).fill(7);
      await Promise.all(Array.from({ length: keyCount }, (_, i) => client.put(`gone/${i}`, value)));
      await client.put("left", "here");
      await client.delete({ prefix: "gone/" });
      client.close();
      await run("compaction", `${keyCount + 3}`, "--physical");
      const before = { ...(await status()), file: storeBytes() };
      assert.ok(before.file > keyCount * valueBytes, `${before.file} bytes`);
      assert.match(await run("defrag"), /^Finished defragmenting etcd member\[.*\]\n$/);
      const after = { ...(await status()), file: storeBytes() };
      assert.ok(after.file < before.file / 10, `${before.file} to ${after.file} bytes`);
      assert.ok(after.dbSize <= after.file && after.dbSizeInUse <= after.dbSize);
      assert.equal(await run("get", "left"), "left\nhere\n");
    }
    await using again = await Cluster.start({ members: 1, dataDir });
    const client = connect(`ws://${again.endpoints[0]}`);
    assert.equal((await client.get("left"))?.text(), "here");
    assert.equal((await client.getAll({ prefix: "gone/" })).pairs.length, 0);
    client.close();
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
});
