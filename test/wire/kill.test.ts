// kill -9 in the middle of the load, again and again: no acknowledged write may be lost.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Prng } from "../../src/base/prng.ts";
import { AckedLoad } from "../support/ackedLoad.ts";
import { KvClient } from "../support/kvClient.ts";
import { Server } from "../support/server.ts";

const rounds = Number(process.env.QUORLET_KILL_ROUNDS ?? 10);
const seed = Number(process.env.QUORLET_SEED ?? Date.now() % 1_000_000);
/** Acknowledged writes before the kill: some batches of the store, differing from round to round. */
const ackedBeforeKillMin = 200;
const ackedBeforeKillSpread = 1000;
/** Of the server's output, in a failure. */
const shownLinesMax = 30;

test("acknowledged writes outlive kill -9", async (t) => {
  t.diagnostic(`seed ${seed}, ${rounds} rounds`);
  const random = new Prng(seed);
  const load = new AckedLoad();
  const dataDir = mkdtempSync(join(tmpdir(), "quorlet-kill-"));
  let server = await Server.start({ dataDir });
  try {
    for (let round = 1; round <= rounds; round++) {
      const revisionBefore = load.revisionMax;
      const killAt = ackedBeforeKillMin + random.integer(ackedBeforeKillSpread);
      let killed: Promise<void> | undefined;
      await load.write(server.endpoints, (count) => {
        if (count >= killAt) killed ??= server.kill9();
        return true;
      });
      assert.ok(
        killed,
        `seed ${seed}, round ${round}: the server failed by itself\n${server.output}`,
      );
      await killed;
      assert.ok(load.revisionMax > revisionBefore, "revisions go on");
      server = await Server.start({ dataDir });
      await load.verify(server.endpoints);
    }
    t.diagnostic(`${load.ackedCount} acknowledged writes up to revision ${load.revisionMax}`);
  } catch (error) {
    const output = server.output.split("\n").slice(-shownLinesMax).join("\n");
    throw new Error(`seed ${seed}: ${error}\n${output}`, { cause: error });
  } finally {
    await server.kill9();
    rmSync(dataDir, { recursive: true, force: true });
  }
});

test("the judge notices a key that went away, and a value that nobody sent", async () => {
  await using server = await Server.start({ members: 1 });
  const rows = [
    { harm: (client: KvClient) => client.remove("w0k0"), want: /w0k0 is gone/ },
    { harm: (client: KvClient) => client.put("w0k0", "x"), want: /w0k0 holds x, which no writer/ },
  ];
  for (const { harm, want } of rows) {
    const load = new AckedLoad();
    // The first write goes to w0k0.
    await load.write(server.endpoints, (count) => count < 200);
    await load.verify(server.endpoints);
    const client = new KvClient(server.endpoints[0] ?? "");
    await harm(client);
    client.close();
    await assert.rejects(load.verify(server.endpoints), want);
  }
});
