// The question of a member that is about to join: who is in the cluster?
import { request as plainRequest } from "node:http";
import { request as tlsRequest } from "node:https";
import { membersPath } from "./peerListener.ts";
import type { PeerTls } from "./peerTls.ts";

/** For each peer's answer. */
export const answerMsMax = 5_000;
/** Characters of an answer. */
export const answerLengthMax = 1 << 20;

/** @returns JSON as the peer sent it; rejects when there is no such answer. */
export function askForMembers(peerUrl: string, tls: PeerTls | undefined): Promise<string> {
  const url = `${peerUrl.replace(/^ws/, "http")}${membersPath}`;
  const ask = url.startsWith("https:") ? tlsRequest : plainRequest;
  const options = {
    ...{ agent: false, signal: AbortSignal.timeout(answerMsMax) },
    ...tls?.callOptions(),
  };
  return new Promise((resolve, reject) => {
    const request = ask(url, options, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("error", reject);
      response.on("data", (part: string) => {
        text += part;
        if (text.length > answerLengthMax) request.destroy(new Error("the answer is too long"));
      });
      response.on("end", () => {
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`${peerUrl} answers ${response.statusCode}`));
      });
    });
    request.on("error", reject);
    request.end();
  });
}
