// The stock etcdctl must not see whether Quorlet or etcd answers it, in any format, on any member.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Etcd, findEtcd, noEtcdReason } from "../support/etcd.ts";
import { type EtcdctlBinary, findEtcdctls, noEtcdctlReason } from "../support/etcdctl.ts";
import { runScript } from "../support/etcdctlScript.ts";
import { projectRoot } from "../support/paths.ts";
import { Server } from "../support/server.ts";

const etcd = findEtcd();
const binaries = findEtcdctls();
const newest = binaries.toSorted((a, b) => a.version.localeCompare(b.version)).at(-1);

/** Recorded from a real etcd of three members: `QUORLET_ETCD=… npm test -- etcdctl --rewrite`. */
function recordPath(binary: EtcdctlBinary): string {
  return join(projectRoot, "test/wire/expected", `etcdctl-${binary.version}.txt`);
}

if (binaries.length === 0) test("etcdctl against Quorlet", { skip: noEtcdctlReason });

for (const binary of binaries) {
  const path = recordPath(binary);
  const skipRecord = etcd ? false : noEtcdReason;

  test(`etcdctl ${binary.version}: the record is what a real etcd answers`, {
    skip: skipRecord,
  }, async () => {
    assert.ok(etcd);
    await using oracle = await Etcd.start({
      binary: etcd,
      members: 3,
      flags: ["--unsafe-no-fsync"],
    });
    const { endpoints } = oracle;
    const everyMember = process.env.QUORLET_REWRITE !== undefined;
    const transcript = await runScript({ binary, endpoints, everyMember });
    if (everyMember) {
      mkdirSync(join(path, ".."), { recursive: true });
      writeFileSync(path, transcript);
    }
    assertSame(transcript, readFileSync(path, "utf8"));
  });

  const skip = existsSync(path) ? false : `no record of etcdctl ${binary.version}`;
  test(`etcdctl ${binary.version}: Quorlet answers as recorded`, { skip }, async () => {
    await using server = await Server.start({ members: 3 });
    const { endpoints } = server;
    // Members answer an older client as they do the newest.
    const transcript = await runScript({ binary, endpoints, everyMember: binary === newest });
    assertSame(transcript, readFileSync(path, "utf8"));
  });
}

/** Fails with the first few commands whose output differs; the record may go on behind what was asked. */
function assertSame(got: string, want: string): void {
  const shownMax = 5;
  const [gotSections, wantSections] = [got, want].map((text) =>
    text.split(/^(?=\$ )/m).map((each) => each.trimEnd()),
  );
  const length = gotSections?.length ?? 0;
  const differences: string[] = [];
  for (let i = 0; i < length; i++) {
    const [have, expected] = [gotSections?.[i] ?? "(nothing)", wantSections?.[i] ?? "(nothing)"];
    if (have !== expected) differences.push(`wanted:\n${expected}\ngot:\n${have}`);
  }
  if (differences.length === 0) return;
  assert.fail(
    `${differences.length} commands differ:\n${differences.slice(0, shownMax).join("\n")}`,
  );
}
