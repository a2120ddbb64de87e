// Why a data directory cannot be used; one line for the user.

export type DataDirTrouble =
  | { readonly kind: "foreign"; readonly directory: string; readonly found: string }
  | { readonly kind: "inUse"; readonly directory: string }
  | {
      readonly kind: "format";
      readonly directory: string;
      readonly found: number;
      readonly want: number;
    }
  | {
      readonly kind: "otherCluster";
      readonly directory: string;
      readonly found: string;
      readonly want: string;
    }
  | {
      readonly kind: "otherMembers";
      readonly directory: string;
      readonly found: string;
      readonly want: string;
    }
  | { readonly kind: "damaged"; readonly file: string }
  | { readonly kind: "io"; readonly directory: string; readonly why: string };

export class DataDirError extends Error {
  override readonly name = "DataDirError";
  readonly trouble: DataDirTrouble;

  constructor(trouble: DataDirTrouble, options?: ErrorOptions) {
    super(describeTrouble(trouble), options);
    this.trouble = trouble;
  }

  /** `error` itself if it is one already, or an `io` around it. */
  static from(directory: string, error: unknown): DataDirError {
    if (error instanceof DataDirError) return error;
    const why = error instanceof Error ? error.message : String(error);
    return new DataDirError({ kind: "io", directory, why }, { cause: error });
  }
}

function describeTrouble(trouble: DataDirTrouble): string {
  switch (trouble.kind) {
    case "foreign":
      return `${trouble.directory} is no data directory of quorlet: it holds ${trouble.found}`;
    case "inUse":
      return `${trouble.directory} is in use by another process`;
    case "format":
      return `${trouble.directory} has data format ${trouble.found}; this version reads format ${trouble.want}`;
    case "otherCluster":
      return `${trouble.directory} belongs to cluster ${trouble.found}, not to ${trouble.want}`;
    case "otherMembers":
      return `${trouble.directory} belongs to members ${trouble.found}, not to ${trouble.want}`;
    case "damaged":
      return `${trouble.file} is damaged`;
    case "io":
      return `${trouble.directory} cannot be used: ${trouble.why}`;
  }
}
