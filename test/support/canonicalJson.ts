// Answers of two gateways as texts that are equal when the gateways agree.
import type { GatewayAnswer } from "./gatewayClient.ts";

// The library of etcd writes one of two spaces behind "proto:", by build, so that nobody compares it.
/** A whole answer. */
export function canonical({ status, contentType, text }: GatewayAnswer): string {
  return `${status} ${contentType} ${canonicalText(text).replaceAll("proto:\u00a0", "proto: ")}`;
}

// Ids and terms are each cluster's own; ours says the text of a refusal twice.
/** A body, or a line of one. */
export function canonicalText(text: string): string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return text;
  }
  return JSON.stringify(value, (name, item: unknown) => {
    if (/^(cluster_id|member_id|raft_term|ID|name|peerURLs|clientURLs)$/.test(name)) {
      return `some ${typeof item}`;
    }
    if (typeof item === "object" && item !== null && "error" in item && "message" in item) {
      const { error, ...rest } = item;
      return error === rest.message ? inOrder(rest) : item;
    }
    if (name === "members" && Array.isArray(item)) return item.toSorted(byText);
    return typeof item === "object" && item !== null && !Array.isArray(item) ? inOrder(item) : item;
  });
}

const byText = (a: unknown, b: unknown): number =>
  JSON.stringify(a).length - JSON.stringify(b).length;

// Neither promises an order of members.
function inOrder(item: object): object {
  return Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)));
}
