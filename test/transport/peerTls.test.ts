// Peer TLS: links between members that show certificates, and whoever has none, a bad one or another's.
import assert from "node:assert/strict";
import { copyFileSync, utimesSync } from "node:fs";
import { request } from "node:https";
import { type TestContext, test } from "node:test";
import { MemberId } from "../../src/base/brand.ts";
import { type Log, silentLog } from "../../src/base/ports.ts";
import { Prng } from "../../src/base/prng.ts";
import { makeCertificate } from "../../src/door/ownCertificate.ts";
import { askForMembers } from "../../src/transport/memberQuestion.ts";
import { listenForPeers, membersPath } from "../../src/transport/peerListener.ts";
import { type PeerAutoTls, PeerTls, type PeerTlsSettings } from "../../src/transport/peerTls.ts";
import { SocketLink } from "../../src/transport/socket.ts";
import {
  CertificateFolder,
  hasOpenssl,
  type Issued,
  noOpensslReason,
} from "../support/certificates.ts";
import { turnsUntil } from "../support/turns.ts";

const skip = hasOpenssl() ? false : noOpensslReason;
const one = MemberId(1n);
const two = MemberId(2n);

interface Ends {
  readonly caller: PeerTlsSettings | PeerAutoTls | undefined;
  readonly called: PeerTlsSettings | PeerAutoTls;
}

interface Opened {
  readonly caller: SocketLink;
  readonly called: SocketLink;
  readonly url: string;
  /** What each said in its log. */
  readonly said: { readonly caller: string[]; readonly called: string[] };
}

function noting(lines: string[]): Log {
  const note = (message: string, fields: object = {}): void =>
    void lines.push([message, ...Object.values(fields)].join(" "));
  return { ...silentLog, info: note, warn: note, error: note };
}

/** Member 1 calls member 2. */
async function open(t: TestContext, { caller, called }: Ends): Promise<Opened> {
  const said = { caller: [] as string[], called: [] as string[] };
  const link = (
    id: MemberId,
    settings: Ends["caller"],
    log: Log,
  ): [SocketLink, PeerTls | undefined] => {
    const tls = settings && new PeerTls(settings, log);
    const made = new SocketLink({
      ...{ self: { clusterId: 9n, id }, random: new Prng(Number(id)), log },
      limits: { redialMsMin: 1, redialMsMax: 4 },
      ...(tls && { tls }),
    });
    return [made, tls];
  };
  const [calling] = link(one, caller, noting(said.caller));
  const [answering, tls] = link(two, called, noting(said.called));
  const listener = await listenForPeers(
    {
      accept: (...upgrade) => answering.accept(...upgrade),
      members: () => "[]",
    },
    { host: "127.0.0.1", port: 0, ...(tls && { tls }) },
  );
  t.after(() => {
    calling.close();
    answering.close();
    return listener.close();
  });
  const url = `https://127.0.0.1:${listener.port}`;
  answering.setPeer(one, "https://127.0.0.1:1");
  calling.setPeer(two, url);
  return { caller: calling, called: answering, url, said };
}

const files = ({ cert, key }: Issued): PeerTlsSettings => ({ certFile: cert, keyFile: key });

test("members with certificates of one issuer talk", { skip }, async (t) => {
  using folder = new CertificateFolder();
  const own = (name: string): PeerTlsSettings => ({
    ...files(folder.issue(name)),
    trustedCaFile: folder.ca.cert,
    clientCertAuth: true,
  });
  const { caller, called, url } = await open(t, { caller: own("one"), called: own("two") });
  await turnsUntil(() => caller.connected(two) && called.connected(one), "they meet");
  const got: Uint8Array[] = [];
  called.onFrame = (_from, frame) => got.push(frame);
  caller.send(two, Uint8Array.of(7));
  await turnsUntil(() => got.length === 1, "a frame arrives");
  assert.deepEqual([...(got[0] ?? [])], [7]);
  const asking = new PeerTls(own("three"), silentLog);
  assert.equal(await askForMembers(url, asking), "[]", "whoever joins may ask");
  await assert.rejects(askForMembers(url, undefined), "but not without a certificate");
});

test("bad peer: without, or with a wrong certificate it is kept out", { skip }, async (t) => {
  using folder = new CertificateFolder();
  using foreign = new CertificateFolder();
  const trustedCaFile = folder.ca.cert;
  const called = { ...files(folder.issue("two")), trustedCaFile };
  const gone = folder.issue("gone");
  const crlFile = folder.revoke(gone);
  const rows: readonly (Ends & { readonly why: string; readonly calledSays: RegExp })[] = [
    {
      why: "none",
      caller: { trustedCaFile },
      called,
      calledSays: /UNABLE_TO_GET_ISSUER|did not return/,
    },
    {
      ...{ why: "another issuer's", called, calledSays: /not good: \w*SIGNATURE/ },
      caller: { ...files(foreign.issue("one")), trustedCaFile },
    },
    {
      ...{ why: "revoked", calledSays: /not good: CERT_REVOKED/ },
      ...{ caller: { ...files(gone), trustedCaFile }, called: { ...called, crlFile } },
    },
    {
      ...{ why: "a client's, by its name", calledSays: /client certificate authentication failed/ },
      caller: { ...files(folder.issue("one")), trustedCaFile },
      called: { ...called, allowedCn: "member" },
    },
    {
      ...{ why: "another host", calledSays: /client certificate authentication failed/ },
      caller: { ...files(folder.issue("one")), trustedCaFile },
      called: { ...called, allowedHostname: "member" },
    },
  ];
  for (const { why, calledSays, ...ends } of rows) {
    const { caller, called: answering, said } = await open(t, ends);
    await turnsUntil(() => said.called.length > 0, why);
    assert.match(said.called[0] ?? "", calledSays, why);
    await turnsUntil(() => said.caller.length > 0, why);
    assert.equal(caller.connected(two), false, why);
    assert.equal(answering.connected(one), false, why);
    caller.close();
  }
});

test("the name or host that callers must have lets them in", { skip }, async (t) => {
  using folder = new CertificateFolder();
  const trustedCaFile = folder.ca.cert;
  const caller = { ...files(folder.issue("one")), trustedCaFile };
  for (const allowed of [{ allowedCn: "one" }, { allowedHostname: "one" }]) {
    const called = { ...files(folder.issue("two")), trustedCaFile, ...allowed };
    const opened = await open(t, { caller, called });
    await turnsUntil(() => opened.called.connected(one), JSON.stringify(allowed));
  }
});

test("bad peer: one that is called and shows a wrong certificate gets no frame", {
  skip,
}, async (t) => {
  using folder = new CertificateFolder();
  using foreign = new CertificateFolder();
  const { caller, said } = await open(t, {
    caller: { trustedCaFile: folder.ca.cert },
    called: files(foreign.issue("two")),
  });
  await turnsUntil(() => said.caller.length > 0, "it says why");
  assert.match(said.caller[0] ?? "", /certificate/);
  assert.equal(caller.connected(two), false);
});

test("a certificate for calls of its own is shown in place of the other", { skip }, async (t) => {
  using folder = new CertificateFolder();
  const client = folder.issue("caller");
  const trustedCaFile = folder.ca.cert;
  const { called } = await open(t, {
    caller: {
      ...{ ...files(folder.issue("one")), trustedCaFile },
      ...{ clientCertFile: client.cert, clientKeyFile: client.key },
    },
    called: { ...files(folder.issue("two")), trustedCaFile, allowedCn: "caller" },
  });
  await turnsUntil(() => called.connected(one), "it is let in by that name");
});

test("self-made certificates hide what is said and are not checked", async (t) => {
  const auto = (): PeerAutoTls => ({
    auto: true,
    own: makeCertificate(["127.0.0.1"], Date.now()),
  });
  const { caller, called } = await open(t, { caller: auto(), called: auto() });
  await turnsUntil(() => caller.connected(two) && called.connected(one), "they meet");
});

test("certificates are read again when their files change, on both sides", { skip }, async (t) => {
  using folder = new CertificateFolder();
  using later = new CertificateFolder();
  const paths = { cert: `${folder.path}/live.crt`, key: `${folder.path}/live.key` };
  const trusted = `${folder.path}/live-ca.crt`;
  let changes = 0;
  const put = (from: CertificateFolder): void => {
    const issued = from.issue(`live${changes++}`);
    copyFileSync(issued.cert, paths.cert);
    copyFileSync(issued.key, paths.key);
    copyFileSync(from.ca.cert, trusted);
    for (const path of [paths.cert, paths.key, trusted]) utimesSync(path, changes, changes);
  };
  put(folder);
  const settings = { ...files(paths), trustedCaFile: trusted };
  const { caller, called, url, said } = await open(t, { caller: settings, called: settings });
  await turnsUntil(() => called.connected(one), "with the first");
  put(later);
  called.removePeer(one);
  called.setPeer(one, "https://127.0.0.1:1");
  await turnsUntil(() => said.called.some((line) => /again/.test(line)), "it is noticed");
  await turnsUntil(() => called.connected(one) && caller.connected(two), "with the second");
  assert.equal(await shownBy(url), "live1");
});

/** Common name of the certificate that is shown there. */
function shownBy(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request(`${url}${membersPath}`, { rejectUnauthorized: false, agent: false });
    asked.on("socket", (socket) => {
      socket.on("secureConnect", () => {
        if ("getPeerCertificate" in socket && typeof socket.getPeerCertificate === "function") {
          resolve(socket.getPeerCertificate().subject.CN);
        }
        asked.destroy();
      });
    });
    asked.on("error", reject);
    asked.end();
  });
}
