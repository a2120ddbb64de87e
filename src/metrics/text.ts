// The text format of Prometheus, 0.0.4: families of samples, one after the other.
import type { Histogram } from "../base/histogram.ts";

export const metricsContentType = "text/plain; version=0.0.4; charset=utf-8";

export type Labels = readonly (readonly [name: string, value: string])[];

export class MetricsText {
  #text = "";

  counter(name: string, help: string, value: number): void {
    this.family(name, "counter", help).sample(name, [], value);
  }

  gauge(name: string, help: string, value: number): void {
    this.family(name, "gauge", help).sample(name, [], value);
  }

  histogram(name: string, help: string, histogram: Histogram, labels: Labels = []): void {
    this.family(name, "histogram", help).buckets(name, labels, histogram);
  }

  /** The head of a family; its samples follow. */
  family(name: string, type: "counter" | "gauge" | "histogram" | "summary", help: string): this {
    this.#text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
    return this;
  }

  sample(name: string, labels: Labels, value: number): this {
    this.#text += `${name}${labelText(labels)} ${numberText(value)}\n`;
    return this;
  }

  buckets(name: string, labels: Labels, { bounds, counts, sum }: Histogram): this {
    let total = 0;
    for (let i = 0; i < counts.length; i++) {
      total += counts[i] ?? 0;
      const bound = i < bounds.length ? numberText(bounds[i] ?? 0) : "+Inf";
      this.sample(`${name}_bucket`, [...labels, ["le", bound]], total);
    }
    return this.sample(`${name}_sum`, labels, sum).sample(`${name}_count`, labels, total);
  }

  /** What was written since the last call. */
  take(): string {
    const text = this.#text;
    this.#text = "";
    return text;
  }
}

function labelText(labels: Labels): string {
  if (labels.length === 0) return "";
  const parts = labels.map(([name, value]) => `${name}="${escaped(value)}"`);
  return `{${parts.join(",")}}`;
}

function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (char) => (char === "\n" ? "\\n" : `\\${char}`));
}

// As Go prints floats: the exponent form from 21 digits on, with a sign and two digits.
function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  if (value >= 1e6 && value < 1e21) return exponentText(value);
  return `${value}`;
}

function exponentText(value: number): string {
  const [digits = "", exponent = ""] = value.toExponential().split("e+");
  return `${digits}e+${exponent.padStart(2, "0")}`;
}
