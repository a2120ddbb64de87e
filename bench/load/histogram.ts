// Latencies as counts of buckets, 512 to each doubling: 0.1 % exact from a quarter microsecond to 17
// minutes. Plain data, so that generators hand theirs over and results keep them.

export interface Latencies {
  readonly counts: Uint32Array;
  count: number;
  sumMs: number;
  maxMs: number;
}

export interface LatencyMs {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  readonly mean: number;
  readonly stddev: number;
}

const bits = 9;
const perDoubling = 1 << bits;
const unitsPerMs = 4000;
const unitsMax = 0xffff_ffff;
const bucketCount = (32 - bits + 1) * perDoubling;

export function newLatencies(): Latencies {
  return { counts: new Uint32Array(bucketCount), count: 0, sumMs: 0, maxMs: 0 };
}

/** @param elapsedMs as two readings of performance.now() give it. */
export function recordMs(latencies: Latencies, elapsedMs: number): void {
  const units = Math.min(unitsMax, Math.max(0, Math.round(elapsedMs * unitsPerMs)));
  const at = bucketOf(units);
  latencies.counts[at] = (latencies.counts[at] ?? 0) + 1;
  latencies.count++;
  latencies.sumMs += elapsedMs;
  if (elapsedMs > latencies.maxMs) latencies.maxMs = elapsedMs;
}

export function sumOf(parts: readonly Latencies[]): Latencies {
  const sum = newLatencies();
  for (const part of parts) {
    part.counts.forEach((count, at) => {
      if (count > 0) sum.counts[at] = (sum.counts[at] ?? 0) + count;
    });
    sum.count += part.count;
    sum.sumMs += part.sumMs;
    sum.maxMs = Math.max(sum.maxMs, part.maxMs);
  }
  return sum;
}

export function latencyMs(latencies: Latencies): LatencyMs {
  const at = (share: number) => Math.min(quantileMs(latencies, share), latencies.maxMs);
  return {
    p50: at(0.5),
    p90: at(0.9),
    p99: at(0.99),
    p999: at(0.999),
    max: latencies.maxMs,
    ...momentsOf(latencies),
  };
}

function momentsOf({ counts, count, sumMs }: Latencies): Pick<LatencyMs, "mean" | "stddev"> {
  if (count === 0) return { mean: 0, stddev: 0 };
  const mean = sumMs / count;
  const squares = counts.reduce(
    (sum, n, at) => (n === 0 ? sum : sum + n * (middleMs(at) - mean) ** 2),
    0,
  );
  return { mean, stddev: Math.sqrt(squares / count) };
}

/** The smallest latency that `share` of all do not exceed; 0 for none. */
function quantileMs({ counts, count }: Latencies, share: number): number {
  let left = Math.ceil(count * share);
  for (let at = 0; at < counts.length; at++) {
    left -= counts[at] ?? 0;
    if (left <= 0 && count > 0) return middleMs(at);
  }
  return 0;
}

/** Pairs of lower bound in ms and count, eight to a doubling: enough to draw. */
export function coarseBuckets({ counts }: Latencies): readonly (readonly [number, number])[] {
  const step = perDoubling / 8;
  const pairs: [number, number][] = [];
  for (let from = 0; from < counts.length; from += step) {
    const count = counts.subarray(from, from + step).reduce((sum, n) => sum + n, 0);
    if (count > 0) pairs.push([lowestOf(from) / unitsPerMs, count]);
  }
  return pairs;
}

function bucketOf(units: number): number {
  if (units < perDoubling) return units;
  const exponent = 31 - Math.clz32(units);
  return (exponent - bits + 1) * perDoubling + ((units >>> (exponent - bits)) & (perDoubling - 1));
}

function lowestOf(bucket: number): number {
  if (bucket < perDoubling) return bucket;
  const shift = Math.floor(bucket / perDoubling) - 1;
  return (perDoubling + (bucket % perDoubling)) * 2 ** shift;
}

function middleMs(bucket: number): number {
  const width = bucket < perDoubling ? 1 : 2 ** (Math.floor(bucket / perDoubling) - 1);
  return (lowestOf(bucket) + (width - 1) / 2) / unitsPerMs;
}
