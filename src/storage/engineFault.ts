// A store that failed, or holds something else than was written. The member must stop.
import type { Table } from "./engine.ts";
import { tableNames } from "./tables.ts";

interface LostStore {
  readonly file: string;
  /** Entries that the log holds, first and last. */
  readonly saved: { readonly from: number; readonly to: number };
}

export type EngineTrouble =
  /** The row does not pass its checksum, or lies under another row's key. */
  | { readonly kind: "damaged"; readonly table: Table; readonly key: Uint8Array }
  /** Found before it was opened. */
  | ({
      readonly kind: "damagedFile";
      readonly page: number;
      readonly offset: number;
      readonly what: string;
    } & LostStore)
  /** The log needs a store that it leads on from. */
  | ({ readonly kind: "missing" } & LostStore)
  | { readonly kind: "foreignCluster"; readonly found: bigint; readonly want: bigint }
  | { readonly kind: "foreignMember"; readonly found: bigint; readonly want: bigint }
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
    case "damagedFile": {
      const { file, page, offset, what } = trouble;
      return `the store ${file} is damaged at page ${page}, offset ${offset}: ${what}; ${describeSaved(trouble)}`;
    }
    case "missing":
      return `the store ${trouble.file} is missing; ${describeSaved(trouble)}`;
    case "foreignCluster":
      return `the store belongs to cluster ${hexOf(trouble.found)}, not to ${hexOf(trouble.want)}`;
    case "foreignMember":
      return `the store belongs to member ${hexOf(trouble.found)}, not to ${hexOf(trouble.want)}`;
    case "noSpace":
      return "no space left on the disk for the store";
    case "io":
      return `the store failed: ${trouble.why}`;
  }
}

const hexOf = (id: bigint): string => id.toString(16).padStart(16, "0");

function describeSaved({ saved: { from, to } }: LostStore): string {
  return to < from
    ? `the log begins behind entry ${from - 1} and holds none`
    : `the log is whole from entry ${from} to ${to}`;
}
