// Why a cluster or a member did not start.

/** It could not start; one line for the user. Nothing is left running. */
export class StartError extends Error {
  override readonly name = "StartError";
}
