// What a row of a table is called, and the rows of the whole table against etcd.
import type { BenchOptions, LoadVerb } from "./options.ts";

/** Says what was asked, not of whom. */
export function rowName(verb: LoadVerb, options: BenchOptions): string {
  const { clients, serializable, prefix, limit, compare, watchers, rate, valSize } = options;
  const isRead = verb === "range" || verb === "mixed" || verb === "txn-mixed";
  return [
    verb,
    ...(isRead && serializable ? ["serializable"] : []),
    ...(isRead && prefix ? [`of ${limit}`] : []),
    ...(verb === "txn-put" && compare ? ["compared"] : []),
    ...(verb.startsWith("watch") ? [`${watchers} watchers`] : []),
    ...(valSize === 256 ? [] : [`${valSize} B`]),
    ...(rate > 0 ? [`${rate}/s`] : []),
    `× ${clients}`,
  ].join(" ");
}

export interface SuiteRow {
  readonly verb: LoadVerb;
  readonly options: Partial<BenchOptions>;
}

/** As many operations come before as are measured, so that both sides run compiled code. */
const row = (
  verb: LoadVerb,
  clients: number,
  total: number,
  more: Partial<BenchOptions> = {},
): SuiteRow => {
  const conns = Math.max(1, clients / 10);
  return { verb, options: { clients, conns, total, warmup: clients === 1 ? 100 : total, ...more } };
};

/** One caller, a hundred, a thousand: the goals of the hot path. The first row finds cold members. */
export const suiteRows: readonly SuiteRow[] = [
  row("put", 100, 20_000, { warmup: 60_000 }),
  row("put", 1_000, 40_000),
  row("put", 1, 1_500),
  row("range", 100, 20_000),
  row("range", 1_000, 40_000),
  row("range", 1, 3_000),
  row("range", 100, 40_000, { serializable: true }),
  row("range", 1_000, 40_000, { serializable: true }),
  row("txn-put", 100, 12_000),
  row("txn-put", 100, 12_000, { compare: true }),
  row("lease-keepalive", 100, 20_000),
  row("watch", 20, 10_000, { conns: 10, warmup: 0 }),
  row("watch", 1, 1_000, { conns: 10, warmup: 0 }),
];
