/** Why a listener could not be bound, as users hear it. */
import { MeshError } from "../errors.ts";

/** @returns ADDRESS_IN_USE, or INVALID_OPTIONS with the system's message */
export function listenError(error: unknown, wanted: string): MeshError {
  const code = (error as { code?: unknown }).code;
  if (code === "EADDRINUSE") {
    return new MeshError("ADDRESS_IN_USE", `address ${wanted} is in use`, { cause: error });
  }
  const message = `cannot listen on ${wanted}: ${(error as Error).message}`;
  return new MeshError("INVALID_OPTIONS", message, { cause: error });
}
