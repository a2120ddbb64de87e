// The built client in a real browser: a page of another origin puts and watches over WebSockets, and asks
// the JSON gateway as pages may, with TLS and without.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, normalize } from "node:path";
import { test } from "node:test";
import { BothDoors } from "../support/bothDoors.ts";
import { hasOpenssl, noOpensslReason } from "../support/certificates.ts";
import { Child } from "../support/child.ts";
import { projectRoot } from "../support/paths.ts";

const browser = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((path) => existsSync(path));
const skip =
  (browser === undefined && "no chromium in /usr/bin (Debian: apt install chromium)") ||
  (!hasOpenssl() && noOpensslReason);
const reportMsMax = 120_000;

/** Runs in the page. Whatever it finds, or what went wrong, is posted as one text. */
const script = `
import { compare, connect, op } from "/src/browser.js";
const report = (text) => fetch("/report", { method: "POST", body: text });
const [socketUrl, jsonUrl, foreignUrl] = new URLSearchParams(location.search).getAll("url");
try {
  const client = connect(socketUrl);
  const watch = client.watch({ prefix: "page/" });
  await watch.ready();
  await client.put("page/a", "1");
  await client.txn().if(compare("page/a").value("=", "1")).then(op.put("page/b", "2")).commit();
  const seen = [];
  for await (const event of watch) {
    seen.push(event.kind + " " + event.pair.keyText() + "=" + event.pair.text());
    if (seen.length === 2) break;
  }
  const got = (await client.get("page/a")).text();
  client.close();
  const body = JSON.stringify({ key: btoa("page/b") });
  const headers = { "content-type": "application/json" };
  const answer = await (await fetch(jsonUrl, { method: "POST", headers, body })).json();
  const foreign = await fetch(foreignUrl, { method: "POST", headers, body }).then(
    () => "was let in", () => "was kept out");
  await report([...seen, got, atob(answer.kvs[0].value), foreign].join(", "));
} catch (error) {
  await report("failed: " + error + " " + error.stack);
}
`;

test("a page puts, watches and asks", { skip }, async () => {
  const reports: string[] = [];
  let onReport = (): void => {};
  const server = createServer((request, response) =>
    serve(request, response, (text) => {
      reports.push(text);
      onReport();
    }),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const profile = mkdtempSync(join(tmpdir(), "quorlet-browser-"));
  try {
    await using both = await BothDoors.start(["--cors", origin]);
    await using strict = await BothDoors.start(["--cors", "http://other.example"]);
    for (const [i, { name, endpoint, caFile }] of both.doors.entries()) {
      const s = caFile === undefined ? "" : "s";
      const foreign = strict.doors[i]?.endpoint;
      const urls = [`ws${s}://${endpoint}`, `http${s}://${endpoint}`, `http${s}://${foreign}`];
      const path = "/v3/kv/range";
      const query = urls.map((url, at) => `url=${encodeURIComponent(at > 0 ? url + path : url)}`);
      const child = new Child({
        command: browser ?? "",
        args: [
          ...["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
          ...["--no-first-run", "--ignore-certificate-errors", `--user-data-dir=${profile}`],
          `${origin}/page?${query.join("&")}`,
        ],
      });
      try {
        await new Promise<void>((resolve, reject) => {
          onReport = resolve;
          const late = (): void => reject(new Error(`no report in time: ${child.output}`));
          setTimeout(late, reportMsMax).unref();
        });
      } finally {
        await child.kill9();
      }
      const wanted = "put page/a=1, put page/b=2, 1, 2, was kept out";
      assert.equal(reports.at(-1), wanted, name);
    }
  } finally {
    server.close();
    server.closeAllConnections();
    rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
  }
});

/** The page, the files of the build, and the place for its report. */
function serve(
  request: IncomingMessage,
  response: ServerResponse,
  onReport: (text: string) => void,
): void {
  const { pathname } = new URL(request.url ?? "/", "http://page");
  if (request.method === "POST") {
    let text = "";
    request.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    request.on("end", () => {
      response.end();
      onReport(text);
    });
  } else if (pathname === "/page") {
    response.setHeader("content-type", "text/html");
    response.end(`<!doctype html><script type="module">${script}</script>`);
  } else {
    const file = join(projectRoot, ".build", normalize(pathname));
    response.statusCode = existsSync(file) && file.endsWith(".js") ? 200 : 404;
    response.setHeader("content-type", "text/javascript");
    response.end(response.statusCode === 200 ? readFileSync(file) : "");
  }
}
