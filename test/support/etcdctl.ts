// The stock command-line clients of this machine, each asked in the same manner.
import { execFile, execFileSync } from "node:child_process";
import { join } from "node:path";

const commandTimeoutMs = 30_000;

export interface EtcdctlBinary {
  readonly path: string;
  /** Major and minor: "3.5". */
  readonly version: string;
}

export interface EtcdctlAnswer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Reason to give when a test is skipped for want of a client. */
export const noEtcdctlReason = "no etcdctl in $QUORLET_ETCD or on the path";

/** @returns those found on the path and in $QUORLET_ETCD, one of each version. */
export function findEtcdctls(): readonly EtcdctlBinary[] {
  const folder = process.env.QUORLET_ETCD;
  const paths = folder ? [join(folder, "etcdctl"), "etcdctl"] : ["etcdctl"];
  const byVersion = new Map<string, EtcdctlBinary>();
  for (const path of paths) {
    const version = versionOf(path);
    if (version !== undefined && !byVersion.has(version)) byVersion.set(version, { path, version });
  }
  return [...byVersion.values()];
}

function versionOf(path: string): string | undefined {
  try {
    const env = { ...process.env, ETCDCTL_API: "3" };
    const text = execFileSync(path, ["version"], { encoding: "utf8", stdio: "pipe", env });
    return /etcdctl version: (\d+\.\d+)/.exec(text)?.[1];
  } catch {
    return undefined;
  }
}

export interface EtcdctlCall {
  readonly binary: EtcdctlBinary;
  readonly endpoints: readonly string[];
  readonly args: readonly string[];
  /** Written to its standard input, which then ends. */
  readonly input?: string;
}

/** Never rejects for a failing command: the exit code is part of the answer. */
export function etcdctl({
  binary,
  endpoints,
  args,
  input = "",
}: EtcdctlCall): Promise<EtcdctlAnswer> {
  return new Promise((resolve) => {
    const child = execFile(
      binary.path,
      ["--endpoints", endpoints.join(","), ...args],
      { env: { ...process.env, ETCDCTL_API: "3" }, timeout: commandTimeoutMs },
      (error, stdout, stderr) => {
        const code = error ? (typeof error.code === "number" ? error.code : -1) : 0;
        resolve({ code, stdout, stderr });
      },
    );
    // A client that does not read its input closes it early; that is its right.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
  });
}
