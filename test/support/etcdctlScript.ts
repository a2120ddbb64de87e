// One script of etcdctl commands, and its transcript without what may differ from cluster to cluster.
import { type EtcdctlAnswer, type EtcdctlBinary, etcdctl } from "./etcdctl.ts";

export const formats = ["simple", "json", "table", "fields"] as const;

interface Step {
  readonly args: readonly string[];
  readonly input?: string;
  /** Asks all members at once; its lines come in any order. */
  readonly everywhere?: boolean;
  /** Names the leader among the members asked: only useful when all are. */
  readonly formats?: readonly string[];
}

/** What is refused looks the same in every format. */
const refused = { formats: ["simple", "json"] };

const casTxn =
  'value("k1") = "v1"\nversion("k1") > "0"\n\nput k1 swapped\nget k1\n\nput k1 lost\nget k2\n\n';
const casAgain = 'create("none") = "0"\nmod("k1") < "1"\n\ndel k1\n\nget "" --from-key\n\n';

/** Leaves no key behind, so that each pass finds what the one before found. */
const steps: readonly Step[] = [
  { args: ["put", "k1", "v0"] },
  { args: ["put", "k1", "v1", "--prev-kv"] },
  { args: ["put", "k2"], input: "from standard input" },
  { args: ["put", "k3", "three words here"] },
  { args: ["put", "k1", "--ignore-value"] },
  { args: ["put", "none", "--ignore-value"], ...refused },
  { args: ["put", "k1", "v1", "--ignore-lease"] },
  { args: ["put", "k1", "v1", "--lease=1234"], ...refused },
  { args: ["put", "", "v"], ...refused },
  { args: ["get", "k1"] },
  { args: ["get", "k", "--prefix"] },
  { args: ["get", "k1", "k3"] },
  { args: ["get", "k2", "--from-key", "--keys-only"] },
  { args: ["get", "k", "--prefix", "--count-only"] },
  { args: ["get", "k", "--prefix", "--limit=2", "--order=DESCEND", "--sort-by=MODIFY"] },
  { args: ["get", "k1", "--print-value-only", "--hex"] },
  { args: ["get", "k1", "--consistency=s"] },
  { args: ["get", "k1", "--rev=1"] },
  { args: ["get", "k1", "--rev=1000000"], ...refused },
  { args: ["get", "none"] },
  { args: ["txn", "--interactive=false"], input: casTxn },
  { args: ["txn", "--interactive=false"], input: casAgain },
  { args: ["txn", "--interactive=false"], input: "\nput a 1\nput a 2\n\n\n", ...refused },
  { args: ["del", "k1", "--prev-kv"] },
  { args: ["del", "k", "--prefix"] },
  { args: ["del", "none"] },
  { args: ["compaction", "1000000"], ...refused },
  { args: ["member", "list"] },
  { args: ["endpoint", "status"], formats: ["json", "fields"] },
  { args: ["endpoint", "status"], formats: ["simple", "table"], everywhere: true },
  { args: ["endpoint", "health"] },
  { args: ["endpoint", "hashkv"] },
  { args: ["defrag"], ...refused },
  { args: ["defrag", "--cluster"], formats: ["simple"], everywhere: true },
];

/** Every format once, in turn by member; then what shows the most is asked of the others as well. */
const passes: readonly { readonly format: string; readonly member: number }[] = [
  { format: "simple", member: 0 },
  { format: "json", member: 1 },
  { format: "table", member: 2 },
  { format: "fields", member: 0 },
  { format: "json", member: 0 },
  { format: "json", member: 2 },
];

export interface ScriptRun {
  readonly binary: EtcdctlBinary;
  readonly endpoints: readonly string[];
  /** Also what every member answers, not only every format. */
  readonly everyMember: boolean;
}

/** @returns every step in every pass: the client formats, the member answers. */
export async function runScript({ binary, endpoints, everyMember }: ScriptRun): Promise<string> {
  const sections: string[] = [];
  for (const { format, member } of everyMember ? passes : passes.slice(0, formats.length)) {
    const endpoint = endpoints[member] ?? "";
    for (const step of steps) {
      if (step.formats && !step.formats.includes(format)) continue;
      const args = [...step.args, "-w", format];
      const asked = step.everywhere ? endpoints : [endpoint];
      const input = step.input === undefined ? {} : { input: step.input };
      const answer = await etcdctl({ binary, endpoints: asked, args, ...input });
      sections.push(section(`member ${member + 1}: etcdctl ${args.join(" ")}`, step, answer));
    }
    sections.push(await compactAll({ binary, endpoints: [endpoint] }, format));
  }
  return sections.join("\n");
}

/** Compacts at the revision that the answer to a read tells, then once more to be refused. */
async function compactAll(
  run: Pick<ScriptRun, "binary" | "endpoints">,
  format: string,
): Promise<string> {
  const { stdout } = await etcdctl({ ...run, args: ["get", "none", "-w", "json"] });
  const revision = /"revision":(\d+)/.exec(stdout)?.[1] ?? "none";
  const sections: string[] = [];
  for (const flags of [["--physical"], []]) {
    const args = ["compaction", revision, ...flags, "-w", format];
    const answer = await etcdctl({ ...run, args });
    sections.push(section(`etcdctl ${args.join(" ")}`, { args }, answer));
  }
  return sections.join("\n");
}

function section(title: string, step: Step, answer: EtcdctlAnswer): string {
  const lines = [...streamLines("", answer.stdout), ...streamLines("! ", answer.stderr)];
  if (step.everywhere) lines.sort();
  if (answer.code !== 0) lines.push(`exit ${answer.code}`);
  return [`$ ${title}`, ...lines, ""].join("\n");
}

/** The client's own log, one JSON object a line on its error stream, tells nothing of the server. */
function streamLines(mark: string, text: string): readonly string[] {
  if (text === "") return [];
  return text
    .replace(/\n$/, "")
    .split("\n")
    .filter((line) => mark === "" || !line.startsWith('{"level":'))
    .map((line) => mark + hideIdentity(line));
}

/** What differs between two healthy clusters with one history, each with what stands for it. */
const identities: readonly (readonly [RegExp, string])[] = [
  [/(?:https?|inproc):\/\/[\w.:[\]-]+/g, "URL"],
  [/(127\.0\.0\.1|localhost|\[::1\]):\d+/g, "ENDPOINT"],
  [/"(cluster_id|member_id|ID|leader|raft_term|raftTerm)":\d+/g, '"$1":N'],
  [/"(raftIndex|raftAppliedIndex|dbSize|dbSizeInUse|hash)":\d+/g, '"$1":N'],
  [/"(ClusterID|MemberID|ID|Leader|Raft ?Term|Raft ?Index|RaftAppliedIndex)" : \d+/gi, '"$1" : N'],
  [/"(DBSize|DB ?SizeInUse|DB ?size ?in ?use|Hash)" : \d+/gi, '"$1" : N'],
  [/"(name|Name|version|Version)"( ?: ?)"[^"]*"/g, '"$1"$2"TEXT"'],
  // An id may begin with zeros, which are not printed.
  [/\b(?:(?=\d*[a-f])[0-9a-f]{8,16}|\d{15,16})\b/g, "ID"],
  [
    /, \d+\.\d+\.\d+, \d+(\.\d+)? [kM]?B, (true|false), false, \d+, \d+, \d+,/g,
    ", VERSION, SIZE, $2, false, TERM, INDEX, INDEX,",
  ],
  [/([│|]) +\d+\.\d+\.\d+ ([│|]) +\d+(\.\d+)? [kM]?B /g, "$1 VERSION $2 SIZE "],
  [/(false [│|]) +\d+ ([│|]) +\d+ ([│|]) +\d+ /g, "$1 TERM $2 INDEX $3 INDEX "],
  [/(started, )[^,]+/g, "$1NAME"],
  [/(started [│|]) [^│|]+/g, "$1 NAME "],
  [/^(! )?(ENDPOINT, )\d+$/g, "$1$2HASH"],
  [/^(! )?([│|] ENDPOINT [│|]) +\d+ /g, "$1$2 HASH "],
  [/took = \S+/g, "took = TIME"],
  [/"took":"[^"]*"/g, '"took":"TIME"'],
  [/"Took" : \S+/g, '"Took" : TIME'],
  [/(true|false) ([│|]) +[\d.]+(ms|µs|s) /g, "$1 $2 TIME "],
  [/[─-]{2,}/g, "--"],
  [/ {2,}/g, " "],
];

export function hideIdentity(line: string): string {
  return identities.reduce((text, [pattern, name]) => text.replace(pattern, name), line);
}
