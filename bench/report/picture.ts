// The comparison as a file of its own, for a README: the drawing of the page with the colours it needs.
import { comparisons, sidesOf } from "../pairs.ts";
import type { BenchResult } from "../result.ts";
import { ratioChart } from "./charts.ts";

/** @throws when there are no two sides to compare. */
export function ratioPicture(results: readonly BenchResult[]): string {
  const [first = [], second = []] = sidesOf(results);
  if (second.length === 0) throw new Error("a picture compares two sides: there is one");
  const drawing = ratioChart(comparisons(first, second));
  return `${drawing.replace(/>/, `>\n<style>${style}</style>\n<rect width="100%" height="100%" fill="#fff"/>`)}\n`;
}

const style = `
svg { --ink: #1b1f24; } text { fill: #57606a; font: 12px system-ui, sans-serif; }
.title { fill: #1b1f24; font-weight: 600; } .axis { stroke: #d8dce2; stroke-width: 1; }
`;
