// A store that failed, or holds something else than was written. The member must stop.
import type { Table } from "./engine.ts";
import { tableNames } from "./tables.ts";

export type EngineTrouble =
  /** The row does not pass its checksum, or lies under another row's key. */
  | { readonly kind: "damaged"; readonly table: Table; readonly key: Uint8Array }
  | { readonly kind: "noSpace" }
  | { readonly kind: "io"; readonly why: string };

export class EngineFault extends Error {
  override readonly name = "EngineFault";
  readonly trouble: EngineTrouble;

  constructor(trouble: EngineTrouble, options?: ErrorOptions) {
    super(describeTrouble(trouble), options);
    this.trouble = trouble;
  }
}

function describeTrouble(trouble: EngineTrouble): string {
  switch (trouble.kind) {
    case "damaged": {
      const key = Buffer.from(trouble.key).toString("hex");
      return `the store is damaged: table ${tableNames[trouble.table]}, key ${key}`;
    }
    case "noSpace":
      return "no space left on the disk for the store";
    case "io":
      return `the store failed: ${trouble.why}`;
  }
}
