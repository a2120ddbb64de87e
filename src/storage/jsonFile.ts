// Small JSON files that are either the old one or the new one, also after a power cut.
import fs from "node:fs/promises";
import path from "node:path";

/** @returns undefined when there is no such file; {} when it holds no JSON object. */
export async function readJson(
  file: string,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  let text: string;
  try {
    text = await fs.readFile(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === "object" && json !== null ? { ...json } : {};
  } catch {
    return {};
  }
}

/** Writes beside the file, then takes its place; durable on return. */
export async function writeJson(
  file: string,
  json: Readonly<Record<string, unknown>>,
): Promise<void> {
  const temporary = `${file}.tmp`;
  const handle = await fs.open(temporary, "w", 0o600);
  try {
    await handle.writeFile(`${JSON.stringify(json, undefined, 2)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await fs.rename(temporary, file);
  const directory = await fs.open(path.dirname(file), "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
