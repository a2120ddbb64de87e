/** Thrown for settings that cannot be; the message is one line for the user. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  /** etcd's: 2 for flags it does not know, 1 for values that cannot be. */
  readonly exitCode: number;

  constructor(message: string, options: { readonly exitCode?: number } = {}) {
    super(message);
    this.exitCode = options.exitCode ?? 1;
  }
}
