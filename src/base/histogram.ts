// Counts of observations by size: plain numbers, so that an observation allocates nothing.

export class Histogram {
  /** Upper bounds, ascending; what is above the last is counted behind it. */
  readonly bounds: Float64Array;
  /** Per bound, not cumulative; one more than there are bounds. */
  readonly counts: Float64Array;
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = Float64Array.from(bounds);
    this.counts = new Float64Array(bounds.length + 1);
  }

  /** @param times the same value was seen so often. */
  observe(value: number, times = 1): void {
    const { bounds, counts } = this;
    let i = 0;
    while (i < bounds.length && value > (bounds[i] ?? 0)) i++;
    counts[i] = (counts[i] ?? 0) + times;
    this.sum += value * times;
  }
}

/** `count` bounds, each `factor` times the one before. */
export function exponentialBounds(first: number, factor: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => first * factor ** i);
}
