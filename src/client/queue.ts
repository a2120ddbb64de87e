// The line before a lock or an election, in etcd's layout: the key of each is name/lease, its place the
// revision that created it. Whoever has nobody before him has the lock. Go's concurrency package and the
// v3lock and v3election services stand in the same line.
import { EtcdError, errCanceled, errLeaseNotFound, StatusCode } from "../base/errors.ts";
import { linePrefix, placeKey } from "../base/lineKeys.ts";
import type { Client } from "./client.ts";
import type { Lease } from "./lease.ts";
import type { Bytes } from "./requests.ts";
import { toBytes } from "./requests.ts";
import type { Pair } from "./results.ts";
import { untilAnswered } from "./retry.ts";
import { compare, op } from "./txn.ts";
import { CompactedError } from "./watchEvent.ts";

/** A place in the line. */
export interface Place {
  readonly key: Uint8Array;
  /** That created the key: grows from holder to holder, so it fences. */
  readonly revision: number;
  /** What the key held when we came: our own value unless it was there before. */
  readonly found: Pair | undefined;
}

/** Steps into the line, or finds the place that this lease has already: safe to repeat. */
export async function takePlace(
  client: Client,
  { name, lease, value }: { readonly name: Bytes; readonly lease: Lease; readonly value: Bytes },
  signal: AbortSignal,
): Promise<Place> {
  const key = placeKey(toBytes(name), lease.id);
  const answer = await untilAnswered(
    () =>
      client
        .txn()
        .if(compare(key).createRevision("=", 0))
        .then(op.put(key, value, { lease: lease.id }))
        .else(op.get(key))
        .commit({ signal }),
    signal,
  );
  if (answer.succeeded) return { key, revision: answer.header.revision, found: undefined };
  const [first] = answer.results;
  const found = first?.kind === "range" ? first.pairs[0] : undefined;
  if (found === undefined) throw new EtcdError(StatusCode.internal, "the key of the line is gone");
  return { key, revision: found.createRevision, found };
}

/** Waits until nobody who came before is left. @throws errLeaseNotFound when our own key is gone. */
export async function awaitTurn(
  client: Client,
  name: Bytes,
  { place, signal }: { readonly place: Place; readonly signal: AbortSignal },
): Promise<void> {
  const prefix = linePrefix(toBytes(name));
  for (;;) {
    const before = await untilAnswered(
      () =>
        client.getAll(
          { prefix },
          {
            maxCreateRevision: place.revision - 1,
            sortBy: "create",
            order: "descend",
            limit: 1,
            keysOnly: true,
            signal,
          },
        ),
      signal,
    );
    const [last] = before.pairs;
    if (last === undefined) break;
    await untilDeleted(client, last.key, { from: before.header.revision + 1, signal });
  }
  // The lease may have ended meanwhile, and the key with it.
  const own = await untilAnswered(() => client.get(place.key, { keysOnly: true, signal }), signal);
  if (own?.createRevision !== place.revision) throw errLeaseNotFound;
}

async function untilDeleted(
  client: Client,
  key: Uint8Array,
  { from, signal }: { readonly from: number; readonly signal: AbortSignal },
): Promise<void> {
  const watch = client.watch(key, { from, filters: ["noPut"], signal });
  try {
    for await (const { kind } of watch) if (kind === "delete") return;
  } catch (error) {
    // The deletion may be among what is compacted: the line is looked at again.
    if (!(error instanceof CompactedError)) throw error;
  } finally {
    watch.close();
  }
}

/** Aborted with the first of them; `dispose` lets go of the others. */
export function anyOf(signals: readonly (AbortSignal | undefined)[]): {
  readonly signal: AbortSignal;
  dispose(): void;
} {
  const controller = new AbortController();
  const given = signals.filter((signal) => signal !== undefined);
  const onAbort = (): void => controller.abort(given.find(({ aborted }) => aborted)?.reason);
  for (const signal of given) signal.addEventListener("abort", onAbort, { once: true });
  if (given.some(({ aborted }) => aborted)) onAbort();
  return {
    signal: controller.signal,
    dispose: () => {
      for (const signal of given) signal.removeEventListener("abort", onAbort);
    },
  };
}

/** What a caller is told whose waiting was ended: the lease's end, or his own signal. */
export function reasonOf(error: unknown, lease: Lease): unknown {
  if (error !== errCanceled && !isCancellation(error)) return error;
  return lease.lost.aborted ? errLeaseNotFound : error;
}

const isCancellation = (error: unknown): boolean =>
  error instanceof EtcdError && error.code === StatusCode.canceled;
