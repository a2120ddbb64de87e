// Drawings as SVG text: latency distribution, completed operations over time, ratios.
import type { RowComparison } from "../pairs.ts";
import type { BenchResult } from "../result.ts";
import { digits } from "./table.ts";

type Side = readonly BenchResult[];

interface Frame {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

const width = 540;
const height = 240;
const frame: Frame = { left: 52, right: width - 30, top: 34, bottom: height - 34 };
const colours = ["#2563eb", "#d97706", "#059669", "#9333ea"];

/** Share of operations by latency, all runs of a side together; the axis grows by doubling. */
export function latencyChart(sides: readonly Side[]): string {
  const series = sides.map(distribution);
  const bounds = series.flatMap(({ points }) => points.map(([ms]) => ms));
  const lowMs = Math.max(0.001, Math.min(...bounds));
  const highMs = Math.max(lowMs * 2, ...bounds) * 1.1;
  const top = Math.max(...series.flatMap(({ points }) => points.map(([, share]) => share)));
  const x = (ms: number) =>
    scaled(Math.log(Math.max(ms, lowMs)), Math.log(lowMs), Math.log(highMs));
  const y = (share: number) => frame.bottom - (share / top) * (frame.bottom - frame.top);
  const lines = series.map(({ points }, i) => steps(points, { x, y, colour: colourOf(i) }));
  const ticks = decades(lowMs, highMs).map(
    (ms) => `<text x="${at(x(ms))}" y="${height - 16}" text-anchor="middle">${msText(ms)}</text>`,
  );
  const marks = sides.map((side, i) => {
    const p99 = side.reduce((sum, { latencyMs }) => sum + latencyMs.p99, 0) / side.length;
    const where = at(x(p99));
    return `<line x1="${where}" x2="${where}" y1="${frame.top}" y2="${frame.bottom}" stroke="${colourOf(i)}" stroke-dasharray="3 3"/>`;
  });
  const names = series.map(({ name }) => name);
  return svg("Latency, share of operations (dashed: p99)", names, [...lines, ...ticks, ...marks]);
}

/** Operations per second, each run from its own start. */
export function rateChart(sides: readonly Side[]): string {
  const runs = sides.flatMap((side, i) => side.map((result) => ({ result, colour: colourOf(i) })));
  const series = runs.map(({ result, colour }) => ({ points: ratesOf(result), colour }));
  const longest = Math.max(0.1, ...series.flatMap(({ points }) => points.map(([sec]) => sec)));
  const top = Math.max(1, ...series.flatMap(({ points }) => points.map(([, rate]) => rate)));
  const x = (sec: number) => scaled(sec, 0, longest);
  const y = (rate: number) => frame.bottom - (rate / top) * (frame.bottom - frame.top);
  const lines = series.map(({ points, colour }) => {
    const path = points.map(([sec, rate]) => `${at(x(sec))},${at(y(rate))}`).join(" ");
    return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="1.5" opacity="0.8"/>`;
  });
  const ticks = [0, 0.5, 1].flatMap((share) => [
    `<text x="${frame.left - 6}" y="${at(y(top * share) + 4)}" text-anchor="end">${rateText(top * share)}</text>`,
    `<text x="${at(x(longest * share))}" y="${height - 16}" text-anchor="middle">${digits(longest * share)} s</text>`,
  ]);
  const names = sides.map((side) => side[0]?.name ?? "");
  return svg("Operations per second", names, [...lines, ...ticks]);
}

/** How many times the first side does what the second does; a bar for each row. */
export function ratioChart(rows: readonly RowComparison[]): string {
  const known = rows.filter(({ perSec }) => perSec !== undefined);
  const most = Math.max(1.2, ...known.map(({ perSec }) => perSec?.max ?? 0));
  const [rowHeight, left, chartWidth] = [22, 210, 900];
  const total = 30 + known.length * rowHeight + 10;
  const x = (ratio: number) => left + (ratio / most) * (chartWidth - left - 70);
  const bars = known.map(({ row, perSec }, i) => {
    const y = 30 + i * rowHeight;
    const { median = 0, min = 0, max = 0 } = perSec ?? {};
    return `<text x="${left - 8}" y="${y + 14}" text-anchor="end">${text(row)}</text>
<rect x="${left}" y="${y + 3}" width="${at(x(median) - left)}" height="14" rx="2" fill="${colours[0]}"/>
<line x1="${at(x(min))}" x2="${at(x(max))}" y1="${y + 10}" y2="${y + 10}" stroke="var(--ink)"/>
<text x="${at(x(max) + 6)}" y="${y + 14}">${digits(median)}×</text>`;
  });
  const one = at(x(1));
  return `<svg viewBox="0 0 ${chartWidth} ${total}" role="img" xmlns="http://www.w3.org/2000/svg">
<text class="title" x="8" y="16">Operations per second, ratio</text>
${bars.join("\n")}
<line class="axis" x1="${one}" x2="${one}" y1="26" y2="${total - 6}" style="stroke: var(--ink)" stroke-dasharray="4 3"/>
</svg>`;
}

function distribution(side: Side): {
  readonly name: string;
  readonly points: readonly (readonly [number, number])[];
} {
  const counts = new Map<number, number>();
  for (const { buckets } of side) {
    for (const [ms, count] of buckets) counts.set(ms, (counts.get(ms) ?? 0) + count);
  }
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const points = [...counts]
    .toSorted(([a], [b]) => a - b)
    .map(([ms, n]) => [ms, n / total] as const);
  return { name: side[0]?.name ?? "", points };
}

function steps(
  points: readonly (readonly [number, number])[],
  { x, y, colour }: { x: (n: number) => number; y: (n: number) => number; colour: string },
): string {
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined) return "";
  const path = points.map(([ms, share]) => `L${at(x(ms))} ${at(y(share))}`).join("");
  const base = frame.bottom;
  return `<path d="M${at(x(first[0]))} ${base}${path}L${at(x(last[0]))} ${base}Z" fill="${colour}" fill-opacity="0.18" stroke="${colour}" stroke-width="1.5"/>`;
}

function ratesOf({ timeline }: BenchResult): readonly (readonly [number, number])[] {
  const { everyMs, counts } = timeline;
  // The last interval is not whole.
  const whole = counts.length > 2 ? counts.slice(0, -1) : counts;
  return whole.map((count, i) => [((i + 0.5) * everyMs) / 1000, (count * 1000) / everyMs] as const);
}

function svg(title: string, names: readonly string[], parts: readonly string[]): string {
  const legend = names.map(
    (name, i) =>
      `<rect x="${300 + i * 120}" y="8" width="10" height="10" fill="${colourOf(i)}"/><text x="${314 + i * 120}" y="17">${text(name)}</text>`,
  );
  const { left, right, bottom, top } = frame;
  return `<svg viewBox="0 0 ${width} ${height}" role="img" xmlns="http://www.w3.org/2000/svg">
<text class="title" x="8" y="17">${title}</text>
<line class="axis" x1="${left}" x2="${right}" y1="${bottom}" y2="${bottom}"/><line class="axis" x1="${left}" x2="${left}" y1="${top}" y2="${bottom}"/>
${[...legend, ...parts].join("\n")}
</svg>`;
}

function scaled(value: number, low: number, high: number): number {
  return frame.left + ((value - low) / (high - low)) * (frame.right - frame.left);
}

function decades(low: number, high: number): readonly number[] {
  const from = Math.ceil(Math.log10(low));
  const to = Math.floor(Math.log10(high));
  const powers = Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => 10 ** (from + i));
  // A narrow range has no power of ten in it.
  return powers.length > 1 ? powers : [low, Math.sqrt(low * high), high / 1.1];
}

const msText = (ms: number): string =>
  ms >= 1000
    ? `${trimmed(ms / 1000)} s`
    : ms >= 1
      ? `${trimmed(ms)} ms`
      : `${trimmed(ms * 1000)} µs`;
const trimmed = (value: number): string => `${Number(value.toPrecision(2))}`;
const rateText = (rate: number): string =>
  rate === 0 ? "0" : rate >= 10_000 ? `${Math.round(rate / 1000)}k` : digits(rate);
const colourOf = (i: number): string => colours[i % colours.length] ?? "#2563eb";
const at = (value: number): string => value.toFixed(1);
const text = (value: string): string => value.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
