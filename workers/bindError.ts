// Why a port could not be bound; one line for the user.
import { type Address, addressText } from "../src/cluster/address.ts";

export class BindError extends Error {
  override readonly name = "BindError";
}

/** @throws {BindError} in place of the system's error. */
export async function binding<T>(address: Address, bound: Promise<T>): Promise<T> {
  try {
    return await bound;
  } catch (error) {
    throw new BindError(describe(address, error), { cause: error });
  }
}

function describe(address: Address, error: unknown): string {
  const text = addressText(address);
  if (!(error instanceof Error)) return `${text} cannot be used: ${error}`;
  switch ("code" in error ? error.code : undefined) {
    case "EADDRINUSE":
      return `${text} is in use by another process`;
    case "EACCES":
      return `${text} may not be used: permission denied`;
    case "EADDRNOTAVAIL":
      return `${text} is no address of this machine`;
    case "ENOTFOUND":
      return `${text} cannot be used: no such host`;
    default:
      return `${text} cannot be used: ${error.message}`;
  }
}
