// A member that was added asks all others who is in the cluster: one that lags does not know of it yet.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { planMember } from "../../src/cluster/joining.ts";
import { StartError } from "../../src/cluster/startError.ts";

const newcomer = "http://127.0.0.1:9";
const member = (id: string, peerUrl: string, name = "") => ({
  ...{ id, name, peerUrls: [peerUrl], isLearner: false },
});
const old = JSON.stringify({ clusterId: "c", members: [member("1", "http://127.0.0.1:1", "m1")] });
const current = JSON.stringify({ clusterId: "c", members: [member("4", newcomer)] });

/** Plans `m4` beside servers that answer the question about members. */
async function planBeside(
  answers: readonly ((response: ServerResponse) => void)[],
): Promise<bigint> {
  const folder = mkdtempSync(join(tmpdir(), "quorlet-joining-"));
  const servers: Server[] = [];
  try {
    const members = [{ name: "m4", peerUrls: [newcomer] }];
    for (const answer of answers) {
      const server = createServer((_request, response) => answer(response));
      servers.push(server);
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      const address = server.address();
      assert.ok(address !== null && typeof address === "object");
      const peerUrls = [`http://127.0.0.1:${address.port}`];
      members.push({ name: `m${members.length}`, peerUrls });
    }
    const dataDir = join(folder, "data");
    const wanted = { name: "m4", members, token: "t", dataDir, initialState: "existing" } as const;
    return (await planMember(wanted)).self.id;
  } finally {
    for (const server of servers) server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

test("who knows the new member is believed, however soon one that lags answers", async () => {
  const late: ServerResponse[] = [];
  let isOldTold = false;
  // The second answers when the first has.
  const goOn = (): void => {
    if (isOldTold) for (const response of late.splice(0)) response.end(current);
  };
  const id = await planBeside([
    (response) => {
      response.on("finish", () => {
        isOldTold = true;
        goOn();
      });
      response.end(old);
    },
    (response) => {
      late.push(response);
      goOn();
    },
  ]);
  assert.equal(id, 4n);
});

test("whom nobody knows is told so", async () => {
  const answer = (response: ServerResponse): void => void response.end(old);
  await assert.rejects(planBeside([answer, answer]), (error: unknown) => {
    assert.ok(error instanceof StartError);
    assert.match(error.message, /add the member first/);
    return true;
  });
});
