// Debian's python3-etcd3: a client with threads, callbacks and ideas of its own.
import { execFile, execFileSync } from "node:child_process";
import { promisify } from "node:util";

const scriptMsMax = 120_000;

/** Reason to give when a test is skipped for want of it. */
export const noPythonReason =
  "no python3 with the module etcd3 (Debian: apt install python3-etcd3)";

/** @returns an interpreter that has the module. */
export function findPython(): string | undefined {
  return ["/usr/bin/python3", "python3"].find((path) => {
    try {
      execFileSync(path, ["-c", "import etcd3"], { stdio: "pipe" });
      return true;
    } catch {
      return false;
    }
  });
}

/** Runs a script that finds a client of `endpoint` in `client`. @returns the lines it printed. */
export async function runPython(
  python: string,
  endpoint: string,
  script: string,
): Promise<readonly string[]> {
  const [host, port] = endpoint.split(":");
  const head = [
    "import etcd3, threading, time",
    `client = etcd3.client(host=${JSON.stringify(host)}, port=${port}, timeout=30)`,
    "",
  ].join("\n");
  const { stdout } = await promisify(execFile)(python, ["-c", head + script], {
    timeout: scriptMsMax,
  });
  return stdout.split("\n").filter((line) => line !== "");
}
