// The text format of Prometheus, read strictly: what a scrape would refuse is refused here.
import assert from "node:assert/strict";

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: string;
  readonly samples: readonly Sample[];
}

const head = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/;
const sampleLine = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(,|$)/gy;

/** @returns families by name. @throws {AssertionError} for what is not the format. */
export function parseMetrics(text: string): ReadonlyMap<string, Family> {
  assert.ok(text.endsWith("\n"), "the last line ends");
  const families = new Map<string, { name: string; type: string; samples: Sample[] }>();
  let helped = "";
  let open: { name: string; type: string; samples: Sample[] } | undefined;
  for (const line of text.slice(0, -1).split("\n")) {
    const [, kind, name = "", rest = ""] = head.exec(line) ?? [];
    if (kind === "HELP") helped = name;
    else if (kind === "TYPE") {
      assert.equal(helped, name, `help stands before the type of ${name}`);
      assert.ok(!families.has(name), `${name} comes once`);
      assert.match(rest, /^(counter|gauge|histogram|summary)$/);
      open = { name, type: rest, samples: [] };
      families.set(name, open);
    } else {
      assert.ok(open, `a sample before any family: ${line}`);
      const sample = parseSample(line);
      assert.ok(belongs(sample.name, open), `${sample.name} within ${open.name}`);
      open.samples.push(sample);
    }
  }
  for (const family of families.values()) judge(family);
  return families;
}

/** Of a sample that is there once. */
export function numberOf(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ""));
  return family?.samples.find(
    (sample) =>
      sample.name === name &&
      Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  )?.value;
}

function parseSample(line: string): Sample {
  const [, name = "", labelText = "", value = ""] = sampleLine.exec(line) ?? [];
  assert.ok(name !== "", `not a sample: ${line}`);
  const labels: Record<string, string> = {};
  label.lastIndex = 0;
  while (label.lastIndex < labelText.length) {
    const match = label.exec(labelText);
    assert.ok(match, `labels of ${line}`);
    const [, key = "", text = ""] = match;
    assert.ok(!(key in labels), `${key} twice in ${line}`);
    labels[key] = text;
  }
  const number = value === "+Inf" ? Number.POSITIVE_INFINITY : Number(value);
  assert.ok(!Number.isNaN(number), `a number in ${line}`);
  return { name, labels, value: number };
}

function belongs(name: string, { name: family, type }: { name: string; type: string }): boolean {
  if (type === "histogram") return new RegExp(`^${family}_(bucket|sum|count)$`).test(name);
  return name === family || (type === "summary" && name.startsWith(`${family}_`));
}

function judge({ name, type, samples }: Family): void {
  const series = samples.map(({ name: of, labels }) => `${of} ${JSON.stringify(labels)}`);
  assert.equal(new Set(series).size, series.length, `${name} repeats a series`);
  if (type === "counter")
    assert.ok(
      samples.every(({ value }) => value >= 0),
      name,
    );
  if (type !== "histogram") return;
  let before = { value: 0, bound: Number.NEGATIVE_INFINITY };
  for (const { name: of, labels, value } of samples) {
    if (of !== `${name}_bucket`) {
      if (of !== `${name}_count`) continue;
      assert.equal(value, before.value, `${name}: count and +Inf`);
      before = { value: 0, bound: Number.NEGATIVE_INFINITY };
      continue;
    }
    const bound = labels.le === "+Inf" ? Number.POSITIVE_INFINITY : Number(labels.le);
    assert.ok(bound > before.bound && value >= before.value, `${name}: buckets ascend`);
    before = { value, bound };
  }
}
