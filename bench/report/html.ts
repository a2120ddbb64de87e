// One page that needs nothing else: the comparison, and drawings for every row.
import type { MachineFacts } from "../measure/machine.ts";
import { comparisons, mediansOf, type RowComparison, sidesOf } from "../pairs.ts";
import type { BenchResult } from "../result.ts";
import { latencyChart, rateChart, ratioChart } from "./charts.ts";
import { digits, machineLine, spreadText } from "./table.ts";

export function htmlReport(results: readonly BenchResult[], command: string): string {
  const machine = results[0]?.machine;
  const [first = [], second = []] = sidesOf(results);
  const rows = second.length === 0 ? [] : comparisons(first, second);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Quorlet benchmark</title>
<style>${style}</style>
<main>
<h1>Quorlet benchmark</h1>
${facts(machine, command)}
${rows.length === 0 ? "" : comparisonPart(rows)}
<h2>Runs</h2>
${runsTable(results)}
${rowParts(results)}
</main>
</html>
`;
}

function facts(machine: MachineFacts | undefined, command: string): string {
  const line = machine === undefined ? "" : `<p>${escaped(machineLine(machine))}</p>`;
  return `${line}<p><code>${escaped(command)}</code></p>`;
}

function comparisonPart(rows: readonly RowComparison[]): string {
  const [head] = rows;
  const names = [head?.first.name ?? "", head?.second.name ?? ""].map(escaped);
  const body = rows.map((row) =>
    cells([
      row.row,
      whole(row.first.perSec),
      whole(row.second.perSec),
      spreadText(row.perSec),
      spreadText(row.p50),
      spreadText(row.p99),
      short(row.first.cpuUs),
      short(row.second.cpuUs),
      spreadText(row.cpu),
      spreadText(row.rss),
      row.warnings === 0 ? "" : `${row.warnings} of ${2 * row.pairs}`,
    ]),
  );
  return `<h2>${names[0]} beside ${names[1]}</h2>
<p>Medians of the ratios of ${head?.pairs ?? 0} pair${head?.pairs === 1 ? "" : "s"}, one side at a time and in turn; smallest and largest in brackets.</p>
${ratioChart(rows)}
<table><thead><tr><th></th><th>${names[0]}<br>per s</th><th>${names[1]}<br>per s</th><th>per s</th><th>p50</th><th>p99</th><th>${names[0]}<br>CPU µs</th><th>${names[1]}<br>CPU µs</th><th>CPU</th><th>RSS</th><th>doubtful</th></tr></thead>
<tbody>${body.join("\n")}</tbody></table>`;
}

function runsTable(results: readonly BenchResult[]): string {
  const body = results.map((result) => {
    const { latencyMs, server, load, foreignCores } = result;
    return cells([
      `${result.name}: ${result.row}`,
      whole(result.perSec),
      short(latencyMs.p50),
      short(latencyMs.p99),
      short(latencyMs.p999),
      short(latencyMs.max),
      short(server?.cpuUs),
      short(load.cpuUs),
      whole(server?.rssMiB),
      short(server?.opsPerSync),
      short(foreignCores),
      result.warnings.join("; "),
    ]);
  });
  return `<table><thead><tr><th></th><th>per s</th><th>p50 ms</th><th>p99</th><th>p99.9</th><th>max</th><th>server CPU µs</th><th>load CPU µs</th><th>RSS MiB</th><th>ops a sync</th><th>foreign cores</th><th>do not trust</th></tr></thead>
<tbody>${body.join("\n")}</tbody></table>`;
}

function rowParts(results: readonly BenchResult[]): string {
  const rows = [...new Set(results.map(({ row }) => row))];
  return rows
    .map((row) => {
      const sides = sidesOf(results.filter((result) => result.row === row));
      const drawn = sides.filter((side) => side.some(({ buckets }) => buckets.length > 0));
      if (drawn.length === 0) return "";
      const medians = sides.map(mediansOf);
      const line = medians
        .map(({ name, perSec }) => `${escaped(name)} ${whole(perSec)}/s`)
        .join(" · ");
      return `<section><h3>${escaped(row)}</h3><p>${line}</p>
<div class="pair">${latencyChart(drawn)}${rateChart(drawn)}</div></section>`;
    })
    .join("\n");
}

function cells(texts: readonly string[]): string {
  return `<tr>${texts.map((text) => `<td>${escaped(text)}</td>`).join("")}</tr>`;
}

export function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
}

const whole = (value: number | undefined): string => (value === undefined ? "" : value.toFixed(0));
const short = (value: number | undefined): string => (value === undefined ? "" : digits(value));

const style = `
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #6b7280; --line: #d8dce2; --paper: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --soft: #9aa3af; --line: #343a42; --paper: #14171b; }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 14px/1.5 system-ui, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 24px; }
h1 { font-size: 24px; } h2 { font-size: 18px; margin-top: 32px; } h3 { margin: 28px 0 0; font-size: 15px; }
p { margin: 4px 0 8px; color: var(--soft); } code { font-size: 12px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 12.5px; }
th, td { padding: 4px 8px; border-bottom: 1px solid var(--line); text-align: right; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; } th { font-weight: 600; }
td:last-child { color: #b45309; text-align: left; }
.pair { display: flex; flex-wrap: wrap; gap: 16px; } .pair svg { flex: 1 1 480px; }
svg { max-width: 100%; height: auto; } svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
svg .title { fill: var(--ink); font-weight: 600; } svg .axis { stroke: var(--line); stroke-width: 1; }
`;
