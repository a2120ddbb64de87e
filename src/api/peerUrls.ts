// Which peer URLs a new member may have: etcd's rules, and the two schemes of our own.

const schemes = /^(https?|wss?):$/;
const sockets = /^unixs?:$/;
/** A member of the same process: its thread has no address (docs/decisions/0003). */
const threads = /^inproc:$/;

/**
 * @returns the URLs trimmed and sorted; undefined when there are none, or one of them is not
 *          scheme://host:port without a path.
 */
export function checkPeerUrls(texts: readonly string[]): readonly string[] | undefined {
  const urls = texts.map((text) => text.trim());
  return urls.length > 0 && urls.every(isPeerUrl) ? urls.sort() : undefined;
}

function isPeerUrl(text: string): boolean {
  const [, scheme = "", rest = ""] = /^([a-z][a-z0-9+.-]*:)\/\/(.*)$/i.exec(text) ?? [];
  if (threads.test(scheme)) return /^[\w.-]+$/.test(rest);
  if (!schemes.test(scheme) && !sockets.test(scheme)) return false;
  // A user before the host, a query or a fragment passes etcd's check as well, but leads nowhere.
  return /^(\[[0-9a-fA-F:.]+\]|[^\s:/?#@[\]]*):\d{1,5}$/.test(rest);
}
