// Random JSON requests for the key-value paths: mostly right, in every spelling that the dialect knows,
// now and then broken in a random place.
import type { Prng } from "../../src/base/prng.ts";
import type { GatewayRequest } from "./gatewayClient.ts";

const keys = ["YQ==", "YWI=", "YWJj", "Yg==", "/w==", "AA==", "Y2RlZg==", "_w", ""];
const values = ["", "dmFsdWU=", "AQIDBA==", "8J+YgA==", "PD4m"];
const odd = [
  "null",
  "true",
  "1.5",
  '"x"',
  "[]",
  "{}",
  "-1",
  "1e1",
  '"99999999999999999999"',
  "nul",
];

export class GatewayGenerator {
  readonly #random: Prng;

  constructor(random: Prng) {
    this.#random = random;
  }

  next(): GatewayRequest {
    const [path, body] = this.#request();
    const spoilt = this.#one(6) ? this.#spoil(body) : body;
    return { method: "POST", path, body: spoilt };
  }

  #request(): readonly [path: string, body: string] {
    switch (this.#random.integer(8)) {
      case 0:
      case 1:
        return ["/v3/kv/put", this.#put()];
      case 2:
      case 3:
      case 4:
        return ["/v3/kv/range", this.#range()];
      case 5:
        return ["/v3/kv/deleterange", this.#delete()];
      default:
        return ["/v3/kv/txn", this.#txn(2)];
    }
  }

  #put(): string {
    return this.#object([
      ["key", this.#text(keys)],
      ["value", this.#text(values)],
      ["prev_kv", this.#maybe("true")],
      ["ignore_value", this.#one(12) ? "true" : undefined],
      ["ignore_lease", this.#one(12) ? "true" : undefined],
      ["lease", this.#one(12) ? this.#number(3) : undefined],
    ]);
  }

  #range(): string {
    return this.#object([
      ["key", this.#text(keys)],
      ["range_end", this.#maybe(this.#text(keys))],
      ["limit", this.#maybe(this.#number(4))],
      ["revision", this.#one(4) ? this.#number(30) : undefined],
      ["sort_order", this.#maybe(this.#enumerator(["NONE", "ASCEND", "DESCEND"]))],
      ["sort_target", this.#maybe(this.#enumerator(["KEY", "VERSION", "CREATE", "MOD", "VALUE"]))],
      ["serializable", this.#maybe("true")],
      ["keys_only", this.#one(4) ? "true" : undefined],
      ["count_only", this.#one(4) ? "true" : undefined],
      ["min_mod_revision", this.#one(4) ? this.#number(20) : undefined],
      ["max_create_revision", this.#one(4) ? this.#number(20) : undefined],
    ]);
  }

  #delete(): string {
    return this.#object([
      ["key", this.#text(keys)],
      ["range_end", this.#maybe(this.#text(keys))],
      ["prev_kv", this.#maybe("true")],
    ]);
  }

  #txn(depth: number): string {
    return this.#object([
      ["compare", this.#list(() => this.#compare())],
      ["success", this.#list(() => this.#operation(depth))],
      ["failure", this.#list(() => this.#operation(depth))],
    ]);
  }

  #compare(): string {
    const target = this.#pick(["version", "create_revision", "mod_revision", "value"]);
    const names = ["VERSION", "CREATE", "MOD", "VALUE"];
    return this.#object([
      ["key", this.#text(keys)],
      ["target", this.#maybe(this.#enumerator(names))],
      ["result", this.#maybe(this.#enumerator(["EQUAL", "GREATER", "LESS", "NOT_EQUAL"]))],
      [target, target === "value" ? this.#text(values) : this.#number(6)],
      ["range_end", this.#one(5) ? this.#text(keys) : undefined],
    ]);
  }

  #operation(depth: number): string {
    const rows: readonly (readonly [string, () => string])[] = [
      ["request_range", () => this.#range()],
      ["request_put", () => this.#put()],
      ["request_delete_range", () => this.#delete()],
      ["request_txn", () => this.#txn(depth - 1)],
    ];
    const [name, make] = this.#pick(rows.slice(0, depth > 0 ? 4 : 3));
    return this.#object([[name, make()]]);
  }

  // Fields in a random order, by one of their two names.
  #object(fields: readonly (readonly [name: string, value: string | undefined])[]): string {
    const members = fields.flatMap(([name, value]) => {
      if (value === undefined) return [];
      const spelt = this.#one(2)
        ? name
        : name.replace(/_(.)/g, (_all, letter: string) => letter.toUpperCase());
      return [{ order: this.#random.integer(1000), text: `"${spelt}":${value}` }];
    });
    if (this.#one(10)) members.push({ order: 0, text: `"unknown":${this.#pick(odd)}` });
    const space = this.#one(4) ? " \n" : "";
    const text = members
      .sort((a, b) => a.order - b.order)
      .map((member) => `${space}${member.text}`)
      .join(",");
    return `{${text}${space}}`;
  }

  #list(make: () => string): string | undefined {
    const count = this.#random.integer(3);
    return count === 0 ? undefined : `[${Array.from({ length: count }, make).join(",")}]`;
  }

  // Broken, or at least unusual: a piece goes, comes twice, or turns into something else.
  #spoil(body: string): string {
    const at = this.#random.integer(body.length + 1);
    switch (this.#random.integer(4)) {
      case 0:
        return body.slice(0, at);
      case 1:
        return body.slice(0, at) + body.slice(at + 1);
      case 2:
        return body.replace(/:[^,:{}[\]]*/, `:${this.#pick(odd)}`);
      default:
        return (
          body.slice(0, at) +
          this.#pick(['"', ",", "}", "[", "\\", "x", "\u0001", "é"]) +
          body.slice(at)
        );
    }
  }

  #text(choices: readonly string[]): string {
    return `"${this.#pick(choices)}"`;
  }

  #number(below: number): string {
    const value = this.#random.integer(below);
    return this.#pick([`${value}`, `"${value}"`, `${value}.0`, `"${value}e0"`, `${value}`]);
  }

  #enumerator(names: readonly string[]): string {
    const number = this.#random.integer(names.length);
    return this.#one(3) ? `${number}` : `"${names[number]}"`;
  }

  #maybe(value: string): string | undefined {
    return this.#one(3) ? value : undefined;
  }

  #one(of: number): boolean {
    return this.#random.integer(of) === 0;
  }

  #pick<T>(choices: readonly T[]): T {
    const choice = choices[this.#random.integer(choices.length)];
    if (choice === undefined) throw new Error("nothing to choose from");
    return choice;
  }
}
