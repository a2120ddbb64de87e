// Families of etcd that cannot move here, so that boards which name them find them. Each says why.
import { exponentialBounds, Histogram } from "../base/histogram.ts";
import type { MetricsText } from "./text.ts";

export interface StillFamily {
  readonly name: string;
  /** Always this, or a histogram of nothing with these bounds. */
  readonly is: { readonly gauge: number } | { readonly bounds: readonly number[] };
  readonly why: string;
}

const ms = exponentialBounds(0.001, 2, 14);

export const stillFamilies: readonly StillFamily[] = [
  {
    name: "etcd_debugging_auth_revision",
    is: { gauge: 1 },
    why: "no users or roles here: the revision before the first change, as in etcd",
  },
  {
    name: "etcd_debugging_disk_backend_commit_rebalance_duration_seconds",
    is: { bounds: ms },
    why: "LMDB keeps its trees in balance while it writes; a commit has no such step",
  },
  {
    name: "etcd_debugging_disk_backend_commit_spill_duration_seconds",
    is: { bounds: ms },
    why: "LMDB spills no pages apart from its write",
  },
  {
    name: "etcd_debugging_snap_save_marshalling_duration_seconds",
    is: { bounds: ms },
    why: "the store is the snapshot: none is marshalled beside it",
  },
  {
    name: "etcd_debugging_snap_save_total_duration_seconds",
    is: { bounds: ms },
    why: "the store is the snapshot: no file is saved beside it",
  },
  {
    name: "etcd_snap_fsync_duration_seconds",
    is: { bounds: ms },
    why: "the store is the snapshot: no file is synced beside it",
  },
  {
    name: "etcd_mvcc_hash_duration_seconds",
    is: { bounds: exponentialBounds(0.01, 2, 15) },
    why: "Hash, of the bytes of a store, is not served; HashKV, of its content, is",
  },
];

const histograms = new Map(
  stillFamilies.map(({ name, is }) => [name, new Histogram("bounds" in is ? is.bounds : [])]),
);

export function writeStill(text: MetricsText): void {
  for (const { name, is, why } of stillFamilies) {
    const help = `Stays as it is: ${why}.`;
    const histogram = histograms.get(name);
    if ("gauge" in is) text.gauge(name, help, is.gauge);
    else if (histogram !== undefined) text.histogram(name, help, histogram);
  }
}
